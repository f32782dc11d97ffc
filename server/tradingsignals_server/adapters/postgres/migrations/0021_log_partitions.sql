-- Older servers: continue
-- The log and the inputs of signals in partitions by sequence, so that retention drops old ones at once. What is stored
-- becomes the first partition. It is read once, to see that its sequences lie in it: one or two seconds for three million.
-- On a database in use a second one of a million gives servers of older versions room, since they do not add any.

ALTER TABLE events RENAME TO events_0;
ALTER INDEX events_by_market_day RENAME TO events_0_by_market_day;
CREATE TABLE events (LIKE events_0 INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMMENTS,
    PRIMARY KEY (sequence)) PARTITION BY RANGE (sequence);
CREATE INDEX events_by_market_day ON events (((market_time AT TIME ZONE 'UTC')::date), sequence);
COMMENT ON TABLE events IS 'The event log: what streams deliver, in order, without gaps. In partitions by sequence.';
COMMENT ON TABLE events_0 IS 'Partition of events.';

ALTER TABLE signal_inputs RENAME TO signal_inputs_0;
CREATE TABLE signal_inputs (
    LIKE signal_inputs_0 INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMMENTS,
    PRIMARY KEY (sequence)) PARTITION BY RANGE (sequence);
COMMENT ON TABLE signal_inputs IS
    'What the signal with this sequence was made from, besides what other tables hold. In partitions as events.';
COMMENT ON TABLE signal_inputs_0 IS 'Partition of signal_inputs.';

DO $$
DECLARE
    last bigint := (SELECT last_sequence FROM event_log);
    first_end bigint := (last / 100000 + 1) * 100000;
    partitioned text;
BEGIN
    FOREACH partitioned IN ARRAY ARRAY['events', 'signal_inputs'] LOOP
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%s)',
            partitioned, partitioned || '_0', first_end);
        IF last > 0 THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)',
                partitioned || '_' || first_end, partitioned, first_end, first_end + 1000000);
            EXECUTE format('COMMENT ON TABLE %I IS %L',
                partitioned || '_' || first_end, 'Partition of ' || partitioned || '.');
        END IF;
    END LOOP;
END $$;
