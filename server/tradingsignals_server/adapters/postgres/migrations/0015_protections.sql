-- What the protections looked at, with the inputs of a signal. See docs/protections.md.

ALTER TABLE signal_inputs ADD COLUMN account text;
COMMENT ON COLUMN signal_inputs.account IS
    'What the protections looked at of the account, as JSON; null if they did not look at it.';
