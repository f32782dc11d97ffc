-- The whole of the service's memory. One transaction writes all that one batch of bars led to: its bars, signals,
-- position changes and log entries. Times are UTC; prices are in quote currency.
-- In PostgreSQL's order NaN stands above infinity, so "< 'Infinity'" keeps both out.

-- The head of the event log, one row. Whoever appends updates it first and so holds its row lock until the commit:
-- sequences become visible in their order and without gaps, which a serial column does not promise.
CREATE TABLE event_log (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch         uuid    NOT NULL DEFAULT gen_random_uuid(),
    last_sequence bigint  NOT NULL DEFAULT 0,
    signals       bigint  NOT NULL DEFAULT 0
);
INSERT INTO event_log DEFAULT VALUES;
COMMENT ON TABLE event_log IS 'Head of the event log: its name and the newest sequence given out.';
COMMENT ON COLUMN event_log.epoch IS 'Name of this log. Sequences of different epochs have nothing to do with each other.';

COMMENT ON COLUMN event_log.signals IS 'Signals made, so that telling their number does not mean counting them.';

CREATE TABLE events (
    sequence   bigint      PRIMARY KEY,
    time       timestamptz NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('SIGNAL', 'MARKET_UPDATE', 'POSITION_UPDATE')),
    symbol     text        NOT NULL,
    action     text,
    confidence double precision,
    payload    bytea       NOT NULL
);
COMMENT ON TABLE events IS 'The event log: what streams deliver, in order, without gaps.';
COMMENT ON COLUMN events.time IS 'When it was committed, by the server''s clock.';
COMMENT ON COLUMN events.action IS 'Action of a signal; null for other kinds.';
COMMENT ON COLUMN events.confidence IS 'Confidence of a signal; null for other kinds.';
COMMENT ON COLUMN events.payload IS 'tradingsignals.v1.Signal, MarketUpdate or Position, serialised.';

CREATE TABLE bars (
    symbol      text             NOT NULL,
    time        timestamptz      NOT NULL,
    open        double precision NOT NULL,
    high        double precision NOT NULL,
    low         double precision NOT NULL,
    close       double precision NOT NULL,
    volume      double precision NOT NULL,
    simulated   boolean          NOT NULL,
    disposition text             NOT NULL
        CHECK (disposition IN ('ACCEPTED', 'WARMING_UP', 'OUTSIDE_SESSION', 'LATE')),
    received_at timestamptz      NOT NULL,
    PRIMARY KEY (symbol, time),
    CHECK (low > 0 AND low <= open AND open <= high AND low <= close AND close <= high AND high < 'Infinity'),
    CHECK (volume >= 0 AND volume < 'Infinity')
);
COMMENT ON TABLE bars IS 'Closed five-minute bars, each once.';
COMMENT ON COLUMN bars.time IS 'Open of the bar.';
COMMENT ON COLUMN bars.disposition IS
    'How it was taken. ACCEPTED and WARMING_UP bars are what decisions look at; the others never were.';

CREATE TABLE signals (
    signal_id         uuid             PRIMARY KEY,
    sequence          bigint           NOT NULL UNIQUE,
    symbol            text             NOT NULL,
    "timestamp"       timestamptz      NOT NULL,
    bar_time          timestamptz,
    origin            text             NOT NULL CHECK (origin IN ('BAR', 'REQUEST', 'DATABASE')),
    action            text             NOT NULL CHECK (action IN ('BUY', 'SELL', 'HOLD')),
    confidence        double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    entry_price       double precision NOT NULL CHECK (entry_price > 0 AND entry_price < 'Infinity'),
    stop_loss         double precision CHECK (stop_loss > 0 AND stop_loss < 'Infinity'),
    take_profit       double precision CHECK (take_profit > 0 AND take_profit < 'Infinity'),
    risk_reward_ratio double precision,
    position_size     double precision NOT NULL CHECK (position_size BETWEEN 0 AND 1),
    hold_probability  double precision NOT NULL,
    buy_probability   double precision NOT NULL,
    sell_probability  double precision NOT NULL,
    model_version     text             NOT NULL,
    model_type        text             NOT NULL,
    simulated         boolean          NOT NULL,
    market_regime     text,
    trend_direction   text,
    rsi               double precision,
    macd              double precision,
    macd_signal       double precision,
    macd_histogram    double precision,
    bb_upper          double precision,
    bb_middle         double precision,
    bb_lower          double precision,
    ema_20            double precision,
    ema_50            double precision,
    atr               double precision,
    volatility        double precision,
    latency_ms        double precision NOT NULL,
    reasoning         text[]           NOT NULL,
    message           bytea            NOT NULL,
    CHECK ((action = 'HOLD') = (stop_loss IS NULL)),
    CHECK ((action = 'HOLD') = (take_profit IS NULL))
);
CREATE INDEX signals_by_symbol ON signals (symbol, sequence);
CREATE INDEX signals_by_timestamp ON signals ("timestamp");
COMMENT ON TABLE signals IS 'Every decision, with what it looked at and why.';
COMMENT ON COLUMN signals."timestamp" IS 'From when it holds: the close of its bar, or the time of the call.';
COMMENT ON COLUMN signals.bar_time IS 'Open of the newest bar it looked at; null if there was none.';
COMMENT ON COLUMN signals.message IS 'The same as tradingsignals.v1.Signal, serialised: what callers are sent.';

CREATE TABLE positions (
    position_id             uuid             PRIMARY KEY,
    signal_id               uuid             NOT NULL REFERENCES signals,
    sequence                bigint           NOT NULL,
    symbol                  text             NOT NULL,
    action                  text             NOT NULL CHECK (action IN ('BUY', 'SELL')),
    entry_time              timestamptz      NOT NULL,
    entry_price             double precision NOT NULL,
    stop_loss               double precision NOT NULL,
    take_profit             double precision NOT NULL,
    initial_stop_loss       double precision NOT NULL,
    position_size           double precision NOT NULL,
    simulated               boolean          NOT NULL,
    current_price           double precision NOT NULL,
    costs                   double precision NOT NULL,
    pnl                     double precision NOT NULL,
    pnl_pct                 double precision NOT NULL,
    pnl_account             double precision NOT NULL,
    r_multiple              double precision NOT NULL,
    max_favorable_excursion double precision NOT NULL,
    max_adverse_excursion   double precision NOT NULL,
    bars_held               integer          NOT NULL,
    trail_distance          double precision,
    session_day             date,
    status                  text             NOT NULL CHECK (status IN ('OPEN', 'CLOSED')),
    exit_time               timestamptz,
    exit_price              double precision,
    exit_reason             text CHECK (exit_reason IN ('STOP_LOSS', 'TAKE_PROFIT', 'TRAILING_STOP', 'TIME_LIMIT',
                                                        'SESSION_END', 'REVERSED', 'MANUAL')),
    exit_signal_id          uuid REFERENCES signals,
    message                 bytea            NOT NULL,
    CHECK (least(entry_price, stop_loss, take_profit, initial_stop_loss, current_price) > 0),
    CHECK (greatest(entry_price, stop_loss, take_profit, initial_stop_loss, current_price) < 'Infinity'),
    CHECK (greatest(abs(pnl), abs(pnl_pct), abs(pnl_account), abs(r_multiple)) < 'Infinity'),
    CHECK ((status = 'CLOSED') = (exit_time IS NOT NULL)),
    CHECK ((status = 'CLOSED') = (exit_price IS NOT NULL)),
    CHECK ((status = 'CLOSED') = (exit_reason IS NOT NULL))
);
-- A symbol holds one position at most, whatever the program believes.
CREATE UNIQUE INDEX one_open_position_a_symbol ON positions (symbol) WHERE status = 'OPEN';
CREATE INDEX closed_positions ON positions (sequence) WHERE status = 'CLOSED';
CREATE INDEX positions_by_signal ON positions (signal_id);
COMMENT ON TABLE positions IS 'Every position as its newest change left it. Profit and loss is net of costs.';
COMMENT ON COLUMN positions.sequence IS 'Place of the newest change in the event log.';
COMMENT ON COLUMN positions.message IS 'The same as tradingsignals.v1.Position, serialised: what callers are sent.';
