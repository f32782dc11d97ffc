-- Ownership by buckets of symbols: an advisory lock a symbol filled the lock table of PostgreSQL at some 7,000 symbols.
-- Servers that know owners by symbol find their table gone and can commit nothing, so the two never work side by side.

DROP TABLE symbol_owners;

CREATE TABLE bucket_owners (
    bucket    integer     PRIMARY KEY CHECK (bucket BETWEEN 0 AND 255),
    server_id uuid        NOT NULL,
    taken_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE bucket_owners IS
    'Which server works on which buckets of symbols. Written under the row lock of event_log, and looked at by every '
    'commit after it has that lock: a server that was replaced cannot commit any more.';
COMMENT ON COLUMN bucket_owners.bucket IS 'First four bytes of the symbol''s BLAKE2s hash, big-endian, modulo 256.';
COMMENT ON COLUMN bucket_owners.server_id IS 'Name of the session that took it, in servers for as long as it lives.';

-- Which symbols are in use, so that their number is known without counting bars.
CREATE TABLE symbols (
    symbol   text        PRIMARY KEY,
    since    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE symbols IS 'Symbols with a stored bar or a position. MAX_SYMBOLS bounds their number.';
INSERT INTO symbols (symbol) SELECT DISTINCT symbol FROM bars UNION SELECT DISTINCT symbol FROM positions;
