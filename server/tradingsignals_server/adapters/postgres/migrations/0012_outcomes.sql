-- What each BUY and SELL was worth, and how far the log has been followed for it. See docs/outcomes.md.

CREATE TABLE outcomes (
    outcome_id      uuid             PRIMARY KEY,
    number          bigint           NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
    signal_id       uuid             NOT NULL,
    symbol          text             NOT NULL,
    action          text             NOT NULL CHECK (action IN ('BUY', 'SELL')),
    model_version   text             NOT NULL,
    model_key       text             NOT NULL,
    shadow          boolean          NOT NULL,
    acted           boolean          NOT NULL,
    simulated       boolean          NOT NULL,
    origin          text             NOT NULL CHECK (origin IN ('BAR', 'REQUEST', 'DATABASE')),
    confidence      double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    win_probability double precision CHECK (win_probability BETWEEN 0 AND 1),
    size            double precision NOT NULL,
    fill            text             NOT NULL CHECK (fill IN ('CLOSE', 'NEXT_OPEN')),
    entry_time      timestamptz      NOT NULL,
    entry_price     double precision NOT NULL,
    stop_loss       double precision NOT NULL,
    take_profit     double precision NOT NULL,
    exit_time       timestamptz      NOT NULL,
    exit_price      double precision NOT NULL,
    resolution      text             NOT NULL CHECK (resolution IN ('TARGET', 'STOP', 'TRAILING', 'REVERSED', 'TIME_LIMIT',
                                                                    'SESSION_END', 'MANUAL', 'EXPIRED')),
    r_multiple      double precision NOT NULL,
    gross_pct       double precision NOT NULL,
    net_pct         double precision NOT NULL,
    pnl_account     double precision NOT NULL,
    mfe_r           double precision NOT NULL CHECK (mfe_r >= 0),
    mae_r           double precision NOT NULL CHECK (mae_r >= 0),
    bars_held       integer          NOT NULL CHECK (bars_held >= 0),
    rules_version   integer          NOT NULL,
    UNIQUE (signal_id, fill, shadow),
    CHECK (exit_time >= entry_time)
);
CREATE INDEX outcomes_by_symbol ON outcomes (symbol, number);
CREATE INDEX outcomes_by_exit_time ON outcomes (exit_time);
COMMENT ON TABLE outcomes IS 'What each BUY and SELL was worth under each fill, once it is resolved.';
COMMENT ON COLUMN outcomes.number IS 'Order in which they were stored.';
COMMENT ON COLUMN outcomes.rules_version IS 'Version of the rules of the ledger by which it was followed.';

CREATE TABLE open_entries (
    policy  text  NOT NULL,
    symbol  text  NOT NULL,
    entries jsonb NOT NULL,
    PRIMARY KEY (policy, symbol)
);
COMMENT ON TABLE open_entries IS 'Signals that are not resolved yet, as the ledger left them at its place in the log.';
COMMENT ON COLUMN open_entries.policy IS 'Key of the shadow policy; empty for the live one.';

CREATE TABLE ledger (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sequence bigint  NOT NULL,
    version  integer NOT NULL
);
COMMENT ON TABLE ledger IS 'How far the log has been followed for outcomes, and by which version of the rules.';
INSERT INTO ledger (sequence, version) SELECT oldest_sequence - 1, 1 FROM event_log;
