-- The account after each close of a bar, and outcomes as entries of the log. See docs/outcomes.md and docs/account.md.

ALTER TABLE events DROP CONSTRAINT events_kind_check;
ALTER TABLE events ADD CONSTRAINT events_kind_check
    CHECK (kind IN ('SIGNAL', 'MARKET_UPDATE', 'POSITION_UPDATE', 'OUTCOME', 'TRADING_CONTROL'));
COMMENT ON COLUMN events.payload IS 'tradingsignals.v1.Signal, MarketUpdate, Position, Outcome or TradingControl, serialised.';

CREATE TABLE equity (
    time           timestamptz      PRIMARY KEY,
    session_day    date,
    equity         double precision NOT NULL,
    realised       double precision NOT NULL,
    unrealised     double precision NOT NULL,
    exposure       double precision NOT NULL CHECK (exposure >= 0),
    open_positions integer          NOT NULL CHECK (open_positions >= 0),
    drawdown       double precision NOT NULL CHECK (drawdown >= 0),
    drawdown_pct   double precision NOT NULL CHECK (drawdown_pct >= 0)
);
COMMENT ON TABLE equity IS 'The account after all that happened up to the next close of a bar, in account currency.';
COMMENT ON COLUMN equity.time IS 'Close of the newest bar.';
COMMENT ON COLUMN equity.session_day IS 'Session of that bar; null outside every session.';
COMMENT ON COLUMN equity.exposure IS 'Sum of the sizes of the open positions, as a fraction of the initial equity.';

ALTER TABLE ledger ADD COLUMN reported bigint, ADD COLUMN account jsonb, ADD COLUMN currency text;
UPDATE ledger SET reported = sequence;
ALTER TABLE ledger ALTER COLUMN reported SET NOT NULL;
COMMENT ON TABLE ledger IS 'How far the log has been followed for outcomes and account, and by which version of the rules.';
COMMENT ON COLUMN ledger.reported IS 'The log has the outcomes of all that was resolved up to this sequence.';
COMMENT ON COLUMN ledger.account IS
    'The account after `sequence`, as JSON. Null until it is followed: the next server then begins at the oldest entry.';
COMMENT ON COLUMN ledger.currency IS 'Currency of the account, in ISO 4217.';
