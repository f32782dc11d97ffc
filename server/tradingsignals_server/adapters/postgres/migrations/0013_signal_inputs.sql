-- What each signal was made from, for its explanation and its replay. Committed with the signal; pruned with its entry of
-- the log.

CREATE TABLE decision_settings (
    settings_id bytea PRIMARY KEY CHECK (length(settings_id) = 16),
    content     text  NOT NULL
);
COMMENT ON TABLE decision_settings IS
    'Settings in force at decisions: policy, features, rules and calendar, as JSON, under their hash.';

CREATE TABLE signal_inputs (
    sequence        bigint  PRIMARY KEY,
    settings_id     bytea   NOT NULL,
    window_bars     integer NOT NULL CHECK (window_bars >= 0),
    indicator_bars  integer NOT NULL CHECK (indicator_bars >= 0),
    first_bar       bigint,
    window_hash     bytea   NOT NULL,
    state           bytea   NOT NULL,
    state_hash      bytea   NOT NULL,
    next_state_hash bytea   NOT NULL,
    held_action     text CHECK (held_action IN ('BUY', 'SELL')),
    held_entry_time timestamptz,
    held_pnl_pct    double precision,
    held_r_multiple double precision,
    held_bars       integer,
    quote           text,
    awaits_market   boolean NOT NULL
);
-- A recurrent state is noise to a compressor.
ALTER TABLE signal_inputs ALTER COLUMN state SET STORAGE EXTERNAL;
COMMENT ON TABLE signal_inputs IS 'What the signal with this sequence was made from, besides what other tables hold.';
COMMENT ON COLUMN signal_inputs.window_bars IS 'Closed bars that the decision rests on; the newest is the one of signals.bar_time.';
COMMENT ON COLUMN signal_inputs.indicator_bars IS 'Newest bars that the indicators rest on, with the quote of a requested signal.';
COMMENT ON COLUMN signal_inputs.first_bar IS 'Open of the oldest of these bars, in seconds since 1970.';
COMMENT ON COLUMN signal_inputs.window_hash IS 'Hash of open, high, low, close, volume and time of these bars.';
COMMENT ON COLUMN signal_inputs.state IS
    'Recurrent state before the decision, as in recurrent_states; empty if it is zeros.';
COMMENT ON COLUMN signal_inputs.held_action IS 'Side of the position that was open before the signal; null without one.';
COMMENT ON COLUMN signal_inputs.quote IS 'Values that the caller of a requested signal gave, as JSON.';
