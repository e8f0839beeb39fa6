-- Some of what is called for each batch, anew: the same arguments and answers, which nodes of the former version know,
-- with plans that go by the primary key of records whenever they are made, and in fewer steps.

-- The record of a key. While a table is small, and later without ANALYZE, an index by kind and project looks as good as the
-- primary key, and then one record is looked for among all of its kind. So the rows are compared as wholes, which only an
-- index can do that begins with the partition. This becomes a part of each statement that calls it, as it has no settings.
CREATE FUNCTION record_of(of_partition smallint, of_kind text, of_project bytea, of_id bytea)
RETURNS TABLE (version bigint, stamp bytea, body text) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT r.version, r.stamp, r.body FROM records AS r
    WHERE (r.partition, r.kind, r.project, r.id) >= (of_partition, of_kind, of_project, of_id)
        AND (r.partition, r.kind, r.project, r.id) <= (of_partition, of_kind, of_project, of_id)
    LIMIT 1
$$;

-- Wait for the rows of these partitions, in one order everywhere, so that no two waits can be for each other.
-- The settings of those who call this, and the next, hold here, too.
CREATE OR REPLACE FUNCTION lock_partitions(wanted smallint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- A commit that is not on disk is not acknowledged, whatever the server's own setting is.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    PERFORM FROM partition_locks WHERE partition = ANY (wanted) ORDER BY partition FOR UPDATE;
END
$$;

-- Append events, in their order, but for those of the operations that were refused. A function in SQL alone would be
-- planned anew at each call.
CREATE OR REPLACE FUNCTION tell(told told_event[], refused integer[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (sequence, at, partition, type, project, session, subject, by, data)
    SELECT nextval('event_sequence'), t.at, t.partition, t.type, t.project, t.session, t.subject, t.by, t.data
    FROM unnest(told) AS t WHERE t.op <> ALL (refused);
END
$$;

-- Write every operation of which all expectations hold, and return the numbers of the others.
CREATE OR REPLACE FUNCTION apply_changes(
    partitions smallint[], expectations expectation[], sessions_put put_session[], records_put put_record[],
    removals removal[], told told_event[]
) RETURNS integer[] LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    refused integer[];
BEGIN
    PERFORM lock_partitions(partitions);
    -- A session of another project has the id of this one: nobody's expectation, not even that it be absent.
    SELECT coalesce(array_agg(e.op), '{}') INTO refused
    FROM unnest(expectations) AS e
    LEFT JOIN sessions AS s ON s.partition = CASE e.kind WHEN 'session' THEN e.partition END AND s.id = e.id
    LEFT JOIN LATERAL record_of(CASE WHEN e.kind <> 'session' THEN e.partition END, e.kind, e.project, e.id) AS r ON true
    WHERE e.version <> CASE WHEN s.project <> e.project THEN -1 ELSE coalesce(s.version, r.version, 0) END;

    IF cardinality(sessions_put) > 0 THEN
        INSERT INTO sessions AS s (
            version, last_seen_at, expires_at, generation, seen_generation, partition, actor_partition, id, project,
            subject, idle_timeout_ms, revoked_at, revoked_reason, actor_subject, actor_session, body
        )
        SELECT
            version, last_seen_at, expires_at, generation, seen_generation, partition, actor_partition, id, project,
            subject, idle_timeout_ms, revoked_at, revoked_reason, actor_subject, actor_session, body
        FROM unnest(sessions_put) WHERE op <> ALL (refused)
        ON CONFLICT (partition, id) DO UPDATE SET
            version = excluded.version, last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at),
            expires_at = excluded.expires_at, generation = excluded.generation,
            seen_generation = greatest(s.seen_generation, excluded.seen_generation), subject = excluded.subject,
            idle_timeout_ms = excluded.idle_timeout_ms, revoked_at = excluded.revoked_at,
            revoked_reason = excluded.revoked_reason, actor_partition = excluded.actor_partition,
            actor_subject = excluded.actor_subject, actor_session = excluded.actor_session, body = excluded.body;
    END IF;
    IF cardinality(records_put) > 0 THEN
        INSERT INTO records (
            version, sorted_at, partition, kind, project, id, owner, expires_at, purge_at, body
        )
        SELECT version, sorted_at, partition, kind, project, id, owner, expires_at, purge_at, body
        FROM unnest(records_put) WHERE op <> ALL (refused)
        ON CONFLICT (partition, kind, project, id) DO UPDATE SET
            version = excluded.version, sorted_at = excluded.sorted_at, stamp = excluded.stamp, owner = excluded.owner,
            expires_at = excluded.expires_at, purge_at = excluded.purge_at, body = excluded.body;
    END IF;
    IF cardinality(removals) > 0 THEN
        DELETE FROM sessions AS s USING unnest(removals) AS g
        WHERE g.kind = 'session' AND s.partition = g.partition AND s.id = g.id AND s.project = g.project
            AND g.op <> ALL (refused);
        -- As in record_of, which cannot say what is to be deleted.
        DELETE FROM records AS r USING unnest(removals) AS g
        WHERE (r.partition, r.kind, r.project, r.id) >= (g.partition, g.kind, g.project, g.id)
            AND (r.partition, r.kind, r.project, r.id) <= (g.partition, g.kind, g.project, g.id)
            AND g.op <> ALL (refused);
    END IF;
    IF cardinality(told) > 0 THEN
        PERFORM tell(told, refused);
    END IF;
    RETURN refused;
END
$$;

-- Find sessions with everything that their life depends on. Bodies of control records only where they are asked for.
CREATE OR REPLACE FUNCTION find_sessions(wanted wanted_session[], with_control boolean)
RETURNS TABLE (
    n integer, session stored_session, acting stored_session, subject text, actor text,
    project_stamp bytea, deployment_stamp bytea, project text, deployment text
) LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM primary_only();
    RETURN QUERY
    SELECT w.n, stored(s), stored(a), u.body, v.body, p.stamp, d.stamp,
        CASE WHEN with_control THEN p.body END, CASE WHEN with_control THEN d.body END
    FROM unnest(wanted) AS w
    JOIN sessions AS s ON s.partition = w.partition AND s.id = w.id AND s.project = w.project
    LEFT JOIN LATERAL record_of(s.partition, 'subject', s.project, convert_to(s.subject, 'UTF8')) AS u ON true
    LEFT JOIN LATERAL record_of(s.actor_partition, 'subject', s.project, convert_to(s.actor_subject, 'UTF8')) AS v
        ON true
    LEFT JOIN sessions AS a
        ON a.partition = s.actor_partition AND a.id = s.actor_session AND a.project = s.project
    LEFT JOIN LATERAL record_of(0::smallint, 'project', s.project, '') AS p ON true
    LEFT JOIN LATERAL record_of(0::smallint, 'deployment', '\x00000000000040008000000000000001', '') AS d ON true;
END
$$;

-- Find records by their keys.
CREATE OR REPLACE FUNCTION find_records(wanted wanted_record[])
RETURNS TABLE (n integer, session stored_session, body text) LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM primary_only();
    RETURN QUERY
    SELECT w.n, stored(s), r.body
    FROM unnest(wanted) AS w
    LEFT JOIN sessions AS s
        ON s.partition = CASE w.kind WHEN 'session' THEN w.partition END AND s.id = w.id AND s.project = w.project
    LEFT JOIN LATERAL record_of(CASE WHEN w.kind <> 'session' THEN w.partition END, w.kind, w.project, w.id) AS r ON true;
END
$$;
