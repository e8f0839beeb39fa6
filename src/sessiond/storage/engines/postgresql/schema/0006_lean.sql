-- What is called for each batch, in fewer steps, under new names: nodes of the former version go on with what they know.

-- The record of a key that may well be absent: the first one from there on, if it is that. A scan between two rows as wholes,
-- as in record_of, goes on to the end of the partition where there is none; to take only the first takes a little longer
-- where there is one.
CREATE FUNCTION record_if_any(of_partition smallint, of_kind text, of_project bytea, of_id bytea)
RETURNS TABLE (version bigint, body text) LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT f.version, f.body FROM (
        SELECT r.* FROM records AS r
        WHERE (r.partition, r.kind, r.project, r.id) >= (of_partition, of_kind, of_project, of_id)
        ORDER BY r.partition, r.kind, r.project, r.id LIMIT 1
    ) AS f WHERE f.id = of_id AND f.project = of_project AND f.kind = of_kind AND f.partition = of_partition
$$;

-- Write every operation of which all expectations hold, and return the numbers of the others.
-- A session that is *renewed* must be at the version before its own, and an operation has at most one such; who is *born*
-- must not be there: neither is among the expectations. Somebody is there all the same: a unique_violation, and
-- nothing of the batch is written.
CREATE FUNCTION write_changes(
    partitions smallint[], expectations expectation[], renewed put_session[], born put_session[], sessions_put put_session[],
    records_put put_record[], removals removal[], told told_event[]
) RETURNS integer[] LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    refused integer[] := '{}';
    kept integer[];
BEGIN
    -- A commit that is not on disk is not acknowledged, whatever the server's own setting is.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    -- In one order everywhere, so that no two waits can be for each other.
    PERFORM FROM partition_locks WHERE partition = ANY (partitions) ORDER BY partition FOR UPDATE;
    IF cardinality(expectations) > 0 THEN
        -- A session of another project has the id of this one: nobody's expectation, not even that it be absent.
        SELECT coalesce(array_agg(e.op), '{}') INTO refused
        FROM unnest(expectations) AS e
        LEFT JOIN sessions AS s ON s.partition = CASE e.kind WHEN 'session' THEN e.partition END AND s.id = e.id
        LEFT JOIN LATERAL record_if_any(
            CASE WHEN e.kind <> 'session' THEN e.partition END, e.kind, e.project, e.id
        ) AS r ON true
        WHERE e.version <> CASE WHEN s.project <> e.project THEN -1 ELSE coalesce(s.version, r.version, 0) END;
    END IF;

    -- First of all writes, as it may refuse, too.
    IF cardinality(renewed) > 0 THEN
        WITH written AS (
            UPDATE sessions AS s SET
                version = p.version, last_seen_at = greatest(s.last_seen_at, p.last_seen_at),
                expires_at = p.expires_at, generation = p.generation,
                seen_generation = greatest(s.seen_generation, p.seen_generation), subject = p.subject,
                idle_timeout_ms = p.idle_timeout_ms, revoked_at = p.revoked_at, revoked_reason = p.revoked_reason,
                actor_partition = p.actor_partition, actor_subject = p.actor_subject, actor_session = p.actor_session,
                body = p.body
            FROM unnest(renewed) AS p
            WHERE s.partition = p.partition AND s.id = p.id AND s.project = p.project AND s.version = p.version - 1
                AND p.op <> ALL (refused)
            RETURNING p.op
        )
        SELECT coalesce(array_agg(op), '{}') INTO kept FROM written;
        IF cardinality(kept) < cardinality(renewed) THEN
            refused := refused || array(SELECT op FROM unnest(renewed) WHERE op <> ALL (kept));
        END IF;
    END IF;
    IF cardinality(born) > 0 THEN
        INSERT INTO sessions (
            version, last_seen_at, expires_at, generation, seen_generation, partition, actor_partition, id, project,
            subject, idle_timeout_ms, revoked_at, revoked_reason, actor_subject, actor_session, body
        )
        SELECT
            version, last_seen_at, expires_at, generation, seen_generation, partition, actor_partition, id, project,
            subject, idle_timeout_ms, revoked_at, revoked_reason, actor_subject, actor_session, body
        FROM unnest(born) WHERE op <> ALL (refused);
    END IF;
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
        INSERT INTO events (sequence, at, partition, type, project, session, subject, by, data)
        SELECT nextval('event_sequence'), t.at, t.partition, t.type, t.project, t.session, t.subject, t.by, t.data
        FROM unnest(told) AS t WHERE t.op <> ALL (refused);
    END IF;
    RETURN refused;
END
$$;

-- Find sessions with what the lives of most depend on: the columns of a stored_session, the subject, the stamps of the
-- control records. Of those in which another acts it tells only that: find_sessions, which takes a third longer, tells the rest.
CREATE FUNCTION find_standings(wanted wanted_session[])
RETURNS TABLE (
    id bytea, project bytea, subject text, version bigint, last_seen_at bigint, expires_at bigint,
    idle_timeout_ms bigint, generation bigint, seen_generation bigint, revoked_at bigint, revoked_reason text, body text,
    acted boolean, subject_body text, project_stamp bytea, deployment_stamp bytea
) LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM primary_only();
    RETURN QUERY
    SELECT s.id, s.project, s.subject, s.version, s.last_seen_at, s.expires_at, s.idle_timeout_ms, s.generation,
        s.seen_generation, s.revoked_at, s.revoked_reason, s.body, s.actor_partition IS NOT NULL, u.body, p.stamp,
        (SELECT d.stamp FROM record_of(0::smallint, 'deployment', '\x00000000000040008000000000000001', '') AS d)
    FROM unnest(wanted) AS w
    JOIN sessions AS s ON s.partition = w.partition AND s.id = w.id AND s.project = w.project
    LEFT JOIN LATERAL record_of(s.partition, 'subject', s.project, convert_to(s.subject, 'UTF8')) AS u ON true
    LEFT JOIN LATERAL record_of(0::smallint, 'project', s.project, '') AS p ON true;
END
$$;

-- Find records by their keys, of any kind but sessions; what is absent is not among the rows.
CREATE FUNCTION find_bodies(wanted wanted_record[])
RETURNS TABLE (n integer, body text) LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM primary_only();
    RETURN QUERY
    SELECT w.n, r.body FROM unnest(wanted) AS w
    JOIN LATERAL record_if_any(w.partition, w.kind, w.project, w.id) AS r ON true;
END
$$;
