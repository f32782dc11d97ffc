-- By which servers of this database know each other: whoever can read it can write everything anyway.

CREATE TABLE peer_secret (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    secret   text    NOT NULL CHECK (length(secret) >= 64)
);
COMMENT ON TABLE peer_secret IS 'What servers send with each call to another server of this database.';
INSERT INTO peer_secret (secret) VALUES (replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''));
