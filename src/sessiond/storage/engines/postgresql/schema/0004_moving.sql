-- What moving to and from another database needs: events under sequences that were given elsewhere, and the fence.

CREATE FUNCTION adopt_events(adopted rewritten_event[], reached bigint) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
DECLARE
    highest bigint := greatest(reached, (SELECT max(sequence) FROM unnest(adopted)));
BEGIN
    INSERT INTO events AS e (sequence, at, partition, type, project, session, subject, by, data)
    SELECT sequence, at, partition, type, project, session, subject, by, data FROM unnest(adopted)
    ON CONFLICT (partition, sequence) DO UPDATE SET
        at = excluded.at, type = excluded.type, project = excluded.project, session = excluded.session,
        subject = excluded.subject, by = excluded.by, data = excluded.data;
    UPDATE purged_events SET newest = highest WHERE newest < highest;
    PERFORM setval('event_sequence', highest) FROM event_sequence WHERE last_value < highest;
END
$$;

CREATE FUNCTION find_events(partitions smallint[], sequences bigint[])
RETURNS TABLE (
    n bigint, at bigint, partition smallint, type text, project bytea, session bytea, subject text, by text, data text
) LANGUAGE sql STABLE
SET search_path FROM CURRENT AS $$
    SELECT w.n, e.at, e.partition, e.type, e.project, e.session, e.subject, e.by, e.data
    FROM unnest(partitions, sequences) WITH ORDINALITY AS w (partition, sequence, n)
    JOIN events AS e ON e.partition = w.partition AND e.sequence = w.sequence
    WHERE primary_only()
$$;

CREATE FUNCTION drop_events(partitions smallint[], sequences bigint[]) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
DECLARE
    highest bigint := newest_event();
BEGIN
    DELETE FROM events AS e USING unnest(partitions, sequences) AS g (partition, sequence)
    WHERE e.partition = g.partition AND e.sequence = g.sequence;
    UPDATE purged_events SET newest = highest WHERE newest < highest;
END
$$;

CREATE FUNCTION refuse_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what lay here was moved' USING ERRCODE = 'SD001';
END
$$;

-- Whoever makes a trigger waits until all who write to its table have committed, and holds up those who come later: once
-- the fence is up, every write has happened or is refused. The tables are locked in the order in which a write takes them.
CREATE FUNCTION put_up_fence() RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM take_down_fence();
    CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON sessions EXECUTE FUNCTION refuse_write();
    CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON records EXECUTE FUNCTION refuse_write();
    CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON events EXECUTE FUNCTION refuse_write();
END
$$;

CREATE FUNCTION take_down_fence() RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT SET client_min_messages = error AS $$
BEGIN
    DROP TRIGGER IF EXISTS fence ON sessions;
    DROP TRIGGER IF EXISTS fence ON records;
    DROP TRIGGER IF EXISTS fence ON events;
END
$$;
