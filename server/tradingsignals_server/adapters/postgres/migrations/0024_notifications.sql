-- Older servers: continue
-- Endpoints of notifications, and the attempts to deliver to them. See docs/notifications.md.

CREATE TABLE notification_endpoints (
    endpoint_id     uuid        PRIMARY KEY,
    name            text        NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
    kind            text        NOT NULL,
    url             text        NOT NULL,
    secret          text        NOT NULL,
    kinds           text[]      NOT NULL,
    symbols         text[]      NOT NULL,
    min_confidence  float8      CHECK (min_confidence BETWEEN 0 AND 1),
    created_at      timestamptz NOT NULL,
    revision        int         NOT NULL DEFAULT 0,
    state           text        NOT NULL CHECK (state IN ('ACTIVE', 'PAUSED', 'DISABLED')),
    disabled_reason text        NOT NULL,
    cursor          bigint      NOT NULL CHECK (cursor >= 0),
    lost            bigint      NOT NULL,
    failed_attempts int         NOT NULL,
    failing_since   timestamptz,
    next_attempt_at timestamptz,
    attempts        bigint      NOT NULL DEFAULT 0
);
COMMENT ON TABLE notification_endpoints IS
    'Where entries of the log are delivered to. url and secret are credentials: messages are sent and signed with them.';
COMMENT ON COLUMN notification_endpoints.kinds IS 'Kinds of entry that it gets. Empty: all.';
COMMENT ON COLUMN notification_endpoints.symbols IS 'Symbols that it gets. Empty: all.';
COMMENT ON COLUMN notification_endpoints.revision IS 'Changes by callers; the delivery to an earlier one moves nothing.';
COMMENT ON COLUMN notification_endpoints.cursor IS
    'Entries up to this sequence are delivered, or do not pass the filter.';
COMMENT ON COLUMN notification_endpoints.lost IS 'Entries that were pruned before they were delivered.';
COMMENT ON COLUMN notification_endpoints.attempts IS 'All attempts so far, the number of the newest delivery.';

CREATE TABLE notification_deliveries (
    endpoint_id uuid        NOT NULL REFERENCES notification_endpoints ON DELETE CASCADE,
    number      bigint      NOT NULL,
    sequence    bigint      NOT NULL,
    attempt     int         NOT NULL,
    time        timestamptz NOT NULL,
    http_status int,
    error       text        NOT NULL,
    latency_ms  float8      NOT NULL,
    PRIMARY KEY (endpoint_id, number)
);
COMMENT ON TABLE notification_deliveries IS 'The newest attempts to deliver to each endpoint.';
COMMENT ON COLUMN notification_deliveries.error IS 'Why it failed. Empty if it was delivered.';

-- The server that delivers reads the endpoints again when notified.
CREATE FUNCTION notify_endpoints() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tradingsignals_endpoints', '');
    RETURN NULL;
END $$;
CREATE TRIGGER endpoints_changed
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF revision
    ON notification_endpoints FOR EACH STATEMENT EXECUTE FUNCTION notify_endpoints();
