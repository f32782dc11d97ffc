-- Older servers: continue
-- Which programs may work on the database, so that servers of two versions can run side by side during an upgrade. A
-- program is known by the number of its newest migration.

ALTER TABLE event_log ADD COLUMN oldest_program integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN event_log.oldest_program IS
    'Migration that a program must know to work on the database. Commits of programs that do not know it write nothing.';

ALTER TABLE servers ADD COLUMN program integer;
COMMENT ON COLUMN servers.program IS 'Newest migration that the server''s program knows; null for one from before 20.';
