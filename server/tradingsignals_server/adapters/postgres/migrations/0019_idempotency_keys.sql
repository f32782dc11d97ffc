-- Older servers: continue
-- Calls that are done once for the idempotency key that their caller sent. See docs/adr/0037-a-key-is-committed-with-its-effect.md.

CREATE TABLE idempotency_keys (
    caller       text        NOT NULL,
    key          text        NOT NULL CHECK (key ~ '^[!-~]{1,128}$'),
    method       text        NOT NULL,
    request_hash bytea       NOT NULL CHECK (length(request_hash) = 32),
    response     bytea       NOT NULL,
    committed_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (caller, key)
);
COMMENT ON TABLE idempotency_keys IS 'Keys of calls, written in the commit of what the call did. Pruned after IDEMPOTENCY_SECONDS.';
COMMENT ON COLUMN idempotency_keys.caller IS 'Identity of the caller: the kind of its credentials and its id.';
COMMENT ON COLUMN idempotency_keys.response IS 'What the first call returned, as protobuf.';
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (committed_at);
