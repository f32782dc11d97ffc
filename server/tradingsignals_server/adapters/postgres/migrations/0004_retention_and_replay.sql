-- What retention and replay need of the event log.

ALTER TABLE event_log ADD COLUMN oldest_sequence bigint NOT NULL DEFAULT 1;
COMMENT ON COLUMN event_log.oldest_sequence IS 'The oldest sequence kept; last_sequence + 1 if none is.';

ALTER TABLE events ADD COLUMN market_time timestamptz;
COMMENT ON COLUMN events.market_time IS
    'Time of the newest bar the entry came from; without one, the time of the call. Replays go by it.';

-- Entries stored before: a bar's time stands at the head of its message, as the five bytes of a varint.
UPDATE events SET market_time = to_timestamp(
    (get_byte(payload, 5) & 127) + ((get_byte(payload, 6) & 127) << 7) + ((get_byte(payload, 7) & 127) << 14)
    + ((get_byte(payload, 8) & 127) << 21) + (get_byte(payload, 9)::bigint << 28)
) WHERE kind = 'MARKET_UPDATE';
UPDATE events SET market_time = coalesce(bar_time, "timestamp") FROM signals WHERE signals.sequence = events.sequence;
UPDATE events SET market_time = newest FROM (
    SELECT sequence, max(market_time) OVER (PARTITION BY symbol ORDER BY sequence) AS newest FROM events
) AS known WHERE known.sequence = events.sequence AND kind = 'POSITION_UPDATE';

ALTER TABLE events ALTER COLUMN market_time SET NOT NULL;
-- Of a day of the market the first and the last sequence are one step each, so a replay finds its stretch of the log
-- by a step a day, however the symbols' histories lie in it.
CREATE INDEX events_by_market_day ON events (((market_time AT TIME ZONE 'UTC')::date), sequence);
