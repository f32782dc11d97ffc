-- Bars have one of several intervals, one for each symbol. Every bar stored so far is of five minutes.

ALTER TABLE bars ADD COLUMN interval_seconds integer NOT NULL DEFAULT 300
    CHECK (interval_seconds IN (60, 300, 900, 1800, 3600, 14400, 86400));
COMMENT ON TABLE bars IS 'Closed bars, each once.';
COMMENT ON COLUMN bars.interval_seconds IS 'Time from the open of the bar to its close; the same for all bars of a symbol.';

ALTER TABLE bars DROP CONSTRAINT bars_disposition_check;
ALTER TABLE bars ADD CONSTRAINT bars_disposition_check
    CHECK (disposition IN ('ACCEPTED', 'WARMING_UP', 'OUTSIDE_SESSION', 'LATE', 'OTHER_INTERVAL'));
COMMENT ON COLUMN bars.disposition IS
    'How it was taken. ACCEPTED, WARMING_UP and OTHER_INTERVAL bars are what decisions look at; the others never were.';
