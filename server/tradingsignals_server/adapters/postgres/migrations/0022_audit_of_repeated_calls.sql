-- Older servers: continue
-- Whether a call was done, or was a repetition of one that was. See docs/idempotency.md.

ALTER TABLE audit ADD COLUMN replayed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN audit.replayed IS
    'True if the call was repeated with its idempotency key: it did nothing, and got the response of the first.';
