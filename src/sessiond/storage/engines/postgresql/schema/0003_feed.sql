-- The feed of changes, for nodes that may answer verifies from memory (cache.max_staleness).
-- A notification is written in the same transaction as the change, and delivered in the order of commits once it is
-- visible. Commits that notify wait for each other, in the whole database; so the triggers are made when the first node
-- asks for the feed, and a deployment without one pays nothing.

-- Tell which sessions changed or went: s, and 24 characters of base64 for each id.
CREATE FUNCTION tell_sessions() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET jit = off AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA || '.feed', 's' || string_agg(encode(c.id, 'base64'), ''))
    FROM (SELECT o.id, row_number() OVER () / 300 AS portion FROM changed AS o) AS c GROUP BY c.portion;
    RETURN NULL;
END
$$;

-- Tell which other records that a session's life depends on changed or went: the kind's first letter, the project and
-- the id in hexadecimal, as ids of subjects are of any length up to 256 bytes.
CREATE FUNCTION tell_records() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET jit = off AS $$
BEGIN
    PERFORM pg_notify(TG_TABLE_SCHEMA || '.feed', told.payload)
    FROM (
        SELECT CASE kind WHEN 'subject' THEN 'u' WHEN 'project' THEN 'p' ELSE 'd' END
            || encode(project, 'hex') || encode(id, 'hex') AS payload
        FROM changed WHERE kind IN ('subject', 'project', 'deployment')
    ) AS told;
    RETURN NULL;
END
$$;

-- Make every change be told from now on. Making a trigger waits for whoever is writing, and whoever writes later has it:
-- none is missed in between. Nobody waits for longer than a second; then it is refused, and asked for again.
CREATE FUNCTION open_feed() RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'records'::regclass AND tgname = 'feed_of_removals') THEN
        RETURN;
    END IF;
    CREATE OR REPLACE TRIGGER feed_of_changes AFTER UPDATE ON sessions REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION tell_sessions();
    CREATE OR REPLACE TRIGGER feed_of_removals AFTER DELETE ON sessions REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION tell_sessions();
    CREATE OR REPLACE TRIGGER feed_of_changes AFTER UPDATE ON records REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION tell_records();
    CREATE OR REPLACE TRIGGER feed_of_removals AFTER DELETE ON records REFERENCING OLD TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION tell_records();
END
$$;
