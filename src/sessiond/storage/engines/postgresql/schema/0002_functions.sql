-- What is called for each batch: one call, one statement, one transaction, one round trip.
-- The settings of a function hold while it runs, also behind a pooler that hands a connection to somebody else between
-- two transactions. Its plans are made once, for batches of any size, and go by the indexes, also before the first
-- ANALYZE. In a STABLE function every statement sees what its caller saw; in a VOLATILE one, what is committed by then.

-- True on a primary; on a standby, whose rows may be old, an error.
CREATE FUNCTION primary_only() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby does not answer' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    RETURN true;
END
$$;

-- What is returned of a session's row, NULL for none.
CREATE FUNCTION stored(s sessions) RETURNS stored_session LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN s.id IS NOT NULL THEN ROW(
        s.id, s.project, s.subject, s.version, s.last_seen_at, s.expires_at, s.idle_timeout_ms, s.generation,
        s.seen_generation, s.revoked_at, s.revoked_reason, s.body
    )::stored_session END
$$;

-- Wait for the rows of these partitions, in one order everywhere, so that no two waits can be for each other.
CREATE FUNCTION lock_partitions(wanted smallint[]) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    -- A commit that is not on disk is not acknowledged, whatever the server's own setting is.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    PERFORM FROM partition_locks WHERE partition = ANY (wanted) ORDER BY partition FOR UPDATE;
END
$$;

-- Append events, in their order, but for those of the operations that were refused.
CREATE FUNCTION tell(told told_event[], refused integer[]) RETURNS void LANGUAGE sql
SET search_path FROM CURRENT AS $$
    INSERT INTO events (sequence, at, partition, type, project, session, subject, by, data)
    SELECT nextval('event_sequence'), at, partition, type, project, session, subject, by, data
    FROM unnest(told) WHERE op <> ALL (refused)
$$;

-- Write every operation of which all expectations hold, and return the numbers of the others.
CREATE FUNCTION apply_changes(
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
    SELECT coalesce(array_agg(DISTINCT e.op), '{}') INTO refused
    FROM unnest(expectations) AS e
    LEFT JOIN sessions AS s ON e.kind = 'session' AND s.partition = e.partition AND s.id = e.id
    LEFT JOIN records AS r
        ON e.kind <> 'session' AND r.partition = e.partition AND r.kind = e.kind AND r.project = e.project
        AND r.id = e.id
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
        DELETE FROM records AS r USING unnest(removals) AS g
        WHERE r.partition = g.partition AND r.kind = g.kind AND r.project = g.project AND r.id = g.id
            AND g.op <> ALL (refused);
    END IF;
    IF cardinality(told) > 0 THEN
        PERFORM tell(told, refused);
    END IF;
    RETURN refused;
END
$$;

-- End each session that has not ended, tell of those, and return all as they are now.
CREATE FUNCTION revoke_sessions(partitions smallint[], revocations revocation[], told told_event[])
RETURNS SETOF stored_session LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    refused integer[];
BEGIN
    PERFORM lock_partitions(partitions);
    WITH ended AS (
        UPDATE sessions AS s SET revoked_at = r.at, revoked_reason = r.reason, version = s.version + 1
        FROM unnest(revocations) AS r
        WHERE s.partition = r.partition AND s.id = r.id AND s.project = r.project AND s.revoked_at IS NULL
        RETURNING r.op
    )
    SELECT coalesce(array_agg(r.op), '{}') INTO refused
    FROM unnest(revocations) AS r WHERE r.op NOT IN (SELECT op FROM ended);
    PERFORM tell(told, refused);
    RETURN QUERY
    SELECT
        s.id, s.project, s.subject, s.version, s.last_seen_at, s.expires_at, s.idle_timeout_ms, s.generation,
        s.seen_generation, s.revoked_at, s.revoked_reason, s.body
    FROM unnest(revocations) AS r
    JOIN sessions AS s ON s.partition = r.partition AND s.id = r.id AND s.project = r.project;
END
$$;

-- Raise what is lower.
CREATE FUNCTION touch_sessions(partitions smallint[], touches touch[]) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM lock_partitions(partitions);
    UPDATE sessions AS s SET
        last_seen_at = greatest(s.last_seen_at, t.seen_at),
        seen_generation = greatest(s.seen_generation, least(t.generation, s.generation))
    FROM unnest(touches) AS t
    WHERE s.partition = t.partition AND s.id = t.id AND s.project = t.project AND s.revoked_at IS NULL
        AND (s.last_seen_at < t.seen_at OR s.seen_generation < least(t.generation, s.generation));
END
$$;

-- Find sessions with everything that their life depends on. Bodies of control records only where they are asked for.
CREATE FUNCTION find_sessions(wanted wanted_session[], with_control boolean)
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
    LEFT JOIN records AS u
        ON u.partition = s.partition AND u.kind = 'subject' AND u.project = s.project
        AND u.id = convert_to(s.subject, 'UTF8')
    LEFT JOIN records AS v
        ON v.partition = s.actor_partition AND v.kind = 'subject' AND v.project = s.project
        AND v.id = convert_to(s.actor_subject, 'UTF8')
    LEFT JOIN sessions AS a
        ON a.partition = s.actor_partition AND a.id = s.actor_session AND a.project = s.project
    LEFT JOIN records AS p
        ON p.partition = 0 AND p.kind = 'project' AND p.project = s.project AND p.id = ''
    LEFT JOIN records AS d
        ON d.partition = 0 AND d.kind = 'deployment' AND d.id = ''
        AND d.project = '\x00000000000040008000000000000001';
END
$$;

-- Find records by their keys.
CREATE FUNCTION find_records(wanted wanted_record[])
RETURNS TABLE (n integer, session stored_session, body text) LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM primary_only();
    RETURN QUERY
    SELECT w.n, stored(s), r.body
    FROM unnest(wanted) AS w
    LEFT JOIN sessions AS s
        ON w.kind = 'session' AND s.partition = w.partition AND s.id = w.id AND s.project = w.project
    LEFT JOIN records AS r
        ON w.kind <> 'session' AND r.partition = w.partition AND r.kind = w.kind AND r.project = w.project
        AND r.id = w.id;
END
$$;

-- Take those of these partitions in which nobody is writing, and return them.
CREATE FUNCTION free_partitions(wanted smallint[]) RETURNS smallint[] LANGUAGE sql
SET search_path FROM CURRENT AS $$
    SELECT array_agg(p.partition) FROM (
        SELECT partition FROM partition_locks WHERE partition = ANY (wanted) ORDER BY partition
        FOR UPDATE SKIP LOCKED
    ) AS p
$$;

-- Remove at most so many records that may go. Partitions in which somebody is writing are left for the next time.
CREATE FUNCTION purge(ended_before bigint, due_before bigint, most integer) RETURNS integer LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    partitions smallint[];
    kinds text[];
    projects bytea[];
    ids bytea[];
    free smallint[];
    gone integer;
    also integer;
BEGIN
    SELECT array_agg(c.partition), array_agg(c.id) INTO partitions, ids FROM (
        (SELECT partition, id FROM sessions WHERE expires_at < ended_before ORDER BY expires_at LIMIT most)
        UNION
        (SELECT partition, id FROM sessions WHERE revoked_at < ended_before ORDER BY revoked_at LIMIT most)
        LIMIT most
    ) AS c;
    free := free_partitions(partitions);
    DELETE FROM sessions AS s USING unnest(partitions, ids) AS c (partition, id)
    WHERE s.partition = c.partition AND s.id = c.id
        AND s.partition = ANY (free)
        AND (s.expires_at < ended_before OR s.revoked_at < ended_before);
    GET DIAGNOSTICS gone = ROW_COUNT;

    SELECT array_agg(c.partition), array_agg(c.kind), array_agg(c.project), array_agg(c.id)
    INTO partitions, kinds, projects, ids
    FROM (SELECT * FROM records WHERE purge_at < due_before ORDER BY purge_at LIMIT most - gone) AS c;
    free := free_partitions(partitions);
    DELETE FROM records AS r USING unnest(partitions, kinds, projects, ids) AS c (partition, kind, project, id)
    WHERE r.partition = c.partition AND r.kind = c.kind AND r.project = c.project AND r.id = c.id
        AND r.partition = ANY (free)
        AND r.purge_at < due_before;
    GET DIAGNOSTICS also = ROW_COUNT;
    RETURN gone + also;
END
$$;

-- Remove at most so many of the oldest events, and remember the highest sequence that went.
CREATE FUNCTION purge_events(before bigint, most integer) RETURNS integer LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    gone integer;
    highest bigint;
BEGIN
    WITH removed AS (
        DELETE FROM events AS e USING (
            SELECT partition, sequence FROM events WHERE at < before ORDER BY at, sequence LIMIT most
            FOR UPDATE SKIP LOCKED
        ) AS c
        WHERE e.partition = c.partition AND e.sequence = c.sequence
        RETURNING e.sequence
    )
    SELECT count(*), max(sequence) INTO gone, highest FROM removed;
    UPDATE purged_events SET newest = highest WHERE newest < highest;
    RETURN gone;
END
$$;

-- The highest sequence that was ever committed. The sequence's own last value may be of a write that is not.
CREATE FUNCTION newest_event() RETURNS bigint LANGUAGE sql STABLE
SET search_path FROM CURRENT AS $$
    SELECT greatest((SELECT max(sequence) FROM events), (SELECT newest FROM purged_events)) WHERE primary_only()
$$;

-- Replace what is told at sequences that are still there.
CREATE FUNCTION rewrite_events(rewritten rewritten_event[]) RETURNS void LANGUAGE sql
SET search_path FROM CURRENT AS $$
    UPDATE events AS e SET
        at = r.at, type = r.type, project = r.project, session = r.session, subject = r.subject, by = r.by,
        data = r.data
    FROM unnest(rewritten) AS r WHERE e.partition = r.partition AND e.sequence = r.sequence
$$;
