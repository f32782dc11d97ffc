-- What statistics report is added up by each commit, in the row that it writes anyway, and no longer counted when asked.

ALTER TABLE event_log
    ADD COLUMN bars              bigint           NOT NULL DEFAULT 0,
    ADD COLUMN buys              bigint           NOT NULL DEFAULT 0,
    ADD COLUMN sells             bigint           NOT NULL DEFAULT 0,
    ADD COLUMN simulated_signals bigint           NOT NULL DEFAULT 0,
    ADD COLUMN positions_opened  bigint           NOT NULL DEFAULT 0,
    ADD COLUMN positions_closed  bigint           NOT NULL DEFAULT 0,
    ADD COLUMN positions_won     bigint           NOT NULL DEFAULT 0,
    ADD COLUMN positions_lost    bigint           NOT NULL DEFAULT 0,
    ADD COLUMN latency_ms        double precision NOT NULL DEFAULT 0,
    ADD COLUMN pnl               double precision NOT NULL DEFAULT 0,
    ADD COLUMN pnl_account       double precision NOT NULL DEFAULT 0;
COMMENT ON COLUMN event_log.bars IS 'Bars stored. This and the columns behind it are totals, added to by every commit.';
COMMENT ON COLUMN event_log.positions_won IS 'Closed positions with a profit above 0.';
COMMENT ON COLUMN event_log.positions_lost IS 'Closed positions with a loss below 0.';
COMMENT ON COLUMN event_log.latency_ms IS 'Sum of the latencies of all signals.';
COMMENT ON COLUMN event_log.pnl IS 'Sum of the profit and loss of closed positions, in price.';
COMMENT ON COLUMN event_log.pnl_account IS 'The same in account currency.';

UPDATE event_log SET
    bars = (SELECT count(*) FROM bars),
    buys = made.buys, sells = made.sells, simulated_signals = made.simulated, latency_ms = made.latency_ms,
    positions_opened = held.opened, positions_closed = held.closed,
    positions_won = held.won, positions_lost = held.lost, pnl = held.pnl, pnl_account = held.pnl_account
FROM (
    SELECT count(*) FILTER (WHERE action = 'BUY') AS buys, count(*) FILTER (WHERE action = 'SELL') AS sells,
        count(*) FILTER (WHERE simulated) AS simulated, coalesce(sum(latency_ms), 0) AS latency_ms
    FROM signals
) AS made, (
    SELECT count(*) AS opened, count(*) FILTER (WHERE status = 'CLOSED') AS closed,
        count(*) FILTER (WHERE status = 'CLOSED' AND pnl > 0) AS won,
        count(*) FILTER (WHERE status = 'CLOSED' AND pnl < 0) AS lost,
        -- Prices had no bound once, and a sum with a higher one in it may be no number.
        coalesce(sum(pnl) FILTER (WHERE exit_price <= 1e12), 0) AS pnl,
        coalesce(sum(pnl_account) FILTER (WHERE exit_price <= 1e12), 0) AS pnl_account
    FROM positions
) AS held;
