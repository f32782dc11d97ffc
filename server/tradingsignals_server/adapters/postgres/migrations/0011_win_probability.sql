-- The calibrated chance that a position wins, beside the confidence of the policy. Null where the policy chose HOLD or its
-- model is not calibrated, and in rows from before.

ALTER TABLE signals ADD COLUMN win_probability double precision, ADD COLUMN win_probability_cases integer;
ALTER TABLE shadow_signals ADD COLUMN win_probability double precision, ADD COLUMN win_probability_cases integer;
COMMENT ON COLUMN signals.win_probability IS
    'Calibrated chance that a position of the policy''s choice ends with a profit after costs, 0..1.';
COMMENT ON COLUMN signals.win_probability_cases IS 'Number of cases behind it.';
