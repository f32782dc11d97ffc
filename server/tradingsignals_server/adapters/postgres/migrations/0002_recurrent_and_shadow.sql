-- What recurrent policies carry from one bar to the next. Committed with the signal of the bar.

CREATE TABLE recurrent_states (
    symbol   text        NOT NULL,
    policy   text        NOT NULL,
    shadow   boolean     NOT NULL,
    bar_time timestamptz NOT NULL,
    layers   integer     NOT NULL CHECK (layers > 0),
    size     integer     NOT NULL CHECK (size > 0),
    before   bytea       NOT NULL CHECK (length(before) = 2 * layers * size * 4),
    after    bytea       NOT NULL CHECK (length(after) = 2 * layers * size * 4),
    PRIMARY KEY (symbol, policy, shadow)
);
COMMENT ON TABLE recurrent_states IS
    'The state of each symbol under each policy, before and after its decision on the bar at bar_time.';
COMMENT ON COLUMN recurrent_states.policy IS 'Version of the policy and the first half of its file''s SHA-256.';
COMMENT ON COLUMN recurrent_states.after IS
    'Hidden state, then cell state: little-endian float32 of shape (2, layers, size).';

ALTER TABLE signals ADD COLUMN model_failed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN signals.model_failed IS
    'The model''s answer was not finite: HOLD was taken and its recurrent state reset.';

-- What a shadow policy decided on the bars the live one decided on, and what it would have held. Never traded.

CREATE TABLE shadow_signals (
    policy           text             NOT NULL,
    symbol           text             NOT NULL,
    bar_time         timestamptz      NOT NULL,
    action           text             NOT NULL CHECK (action IN ('BUY', 'SELL', 'HOLD')),
    confidence       double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    hold_probability double precision NOT NULL,
    buy_probability  double precision NOT NULL,
    sell_probability double precision NOT NULL,
    entry_price      double precision NOT NULL CHECK (entry_price > 0),
    stop_loss        double precision,
    take_profit      double precision,
    position_size    double precision NOT NULL,
    model_failed     boolean          NOT NULL,
    PRIMARY KEY (policy, symbol, bar_time)
);
COMMENT ON TABLE shadow_signals IS 'Decisions of shadow policies; the live one stands in signals under the same bar.';

CREATE TABLE shadow_positions (
    policy text NOT NULL,
    LIKE positions INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    PRIMARY KEY (policy, position_id)
);
ALTER TABLE shadow_positions DROP COLUMN message;
CREATE UNIQUE INDEX one_open_shadow_position_a_symbol ON shadow_positions (policy, symbol) WHERE status = 'OPEN';
COMMENT ON TABLE shadow_positions IS 'What shadow policies would have held, by the same rules and costs as positions.';
COMMENT ON COLUMN shadow_positions.sequence IS
    'The newest sequence of the log when it last changed: shadow positions are not in the log.';
