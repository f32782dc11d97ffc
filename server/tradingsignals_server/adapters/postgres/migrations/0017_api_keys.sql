-- API keys, kept by the hashes of their secrets. See docs/security.md.

CREATE TABLE api_keys (
    key_id       text        PRIMARY KEY CHECK (key_id ~ '^[a-z2-7]{13}$'),
    name         text        NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    role         text        NOT NULL CHECK (role IN ('viewer', 'publisher', 'trader', 'admin')),
    secret_hash  bytea       NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    networks     cidr[]      NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
COMMENT ON TABLE api_keys IS 'API keys, without their secrets, revoked and expired ones included.';
COMMENT ON COLUMN api_keys.key_id IS 'Public part of the key, by which logs and the audit name it.';
COMMENT ON COLUMN api_keys.secret_hash IS 'SHA-256 of the secret, which is 256 random bits.';
COMMENT ON COLUMN api_keys.networks IS 'Addresses that it is accepted from. Empty: all.';
COMMENT ON COLUMN api_keys.last_used_at IS 'To about a minute.';

-- Every server keeps the table in memory, and reads it again when notified, whoever has changed it.
CREATE FUNCTION notify_api_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tradingsignals_api_keys', '');
    RETURN NULL;
END $$;
CREATE TRIGGER api_keys_changed
    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF name, role, secret_hash, networks, expires_at, revoked_at
    ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION notify_api_keys();
