-- What callers did, and what they were refused. See docs/security.md.

CREATE TABLE audit (
    entry_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time        timestamptz NOT NULL,
    credential  text        NOT NULL,
    caller_id   text        NOT NULL,
    caller_name text        NOT NULL,
    role        text        NOT NULL,
    address     text        NOT NULL,
    method      text        NOT NULL,
    request     text        NOT NULL,
    result      text        NOT NULL,
    reason      text        NOT NULL,
    count       integer     NOT NULL CHECK (count > 0),
    request_id  text        NOT NULL
);
COMMENT ON TABLE audit IS 'Calls that act, and calls that were refused for lack of rights. Entries are never changed.';
COMMENT ON COLUMN audit.count IS 'Calls that the entry stands for.';
CREATE INDEX audit_by_time ON audit (time);
CREATE INDEX audit_by_caller ON audit (caller_id, entry_id DESC);

-- Nothing is changed, and nothing of the last 30 days is deleted, by whoever it may be: retention deletes older entries.
CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.time < now() - interval '30 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'entries of the audit log are never changed, nor deleted in their first 30 days';
END $$;
CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION keep_audit();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION keep_audit();
