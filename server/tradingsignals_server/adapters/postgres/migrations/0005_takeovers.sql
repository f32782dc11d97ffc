-- A commit in one statement sees who owns its symbols in a snapshot older than its lock on the log. It is told by this
-- count whether anybody has taken a symbol over in between: takers add to it, and write the owner, in one transaction.

ALTER TABLE event_log ADD COLUMN takeovers bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN event_log.takeovers IS 'How often servers have taken symbols over.';
