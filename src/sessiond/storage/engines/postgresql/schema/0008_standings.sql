-- What is asked for by most, with what they ask said once: a project, and the ids of sessions of it, 16 bytes each.

CREATE TYPE asked_sessions AS (project bytea, ids bytea);

-- As find_standings, which nodes of the former version call. What ends with OFFSET or LIMIT the planner does not take apart:
-- a project is looked for once, not with each of its sessions, and a session by its primary key alone, as the indexes that
-- begin with the project look as good to a plan that is made while the table is small.
CREATE FUNCTION find_standings_of(asked asked_sessions[])
RETURNS TABLE (
    id bytea, project bytea, subject text, version bigint, last_seen_at bigint, expires_at bigint,
    idle_timeout_ms bigint, generation bigint, seen_generation bigint, revoked_at bigint, revoked_reason text, body text,
    acted boolean, subject_body text, project_stamp bytea, deployment_stamp bytea
) LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    IF pg_is_in_recovery() THEN
        PERFORM primary_only();
    END IF;
    RETURN QUERY
    SELECT s.id, s.project, s.subject, s.version, s.last_seen_at, s.expires_at, s.idle_timeout_ms, s.generation,
        s.seen_generation, s.revoked_at, s.revoked_reason, s.body, s.actor_partition IS NOT NULL, u.body, a.stamp,
        (SELECT d.stamp FROM record_of(0::smallint, 'deployment', '\x00000000000040008000000000000001', '') AS d)
    FROM (
        SELECT q.project, q.ids, (SELECT p.stamp FROM record_of(0::smallint, 'project', q.project, '') AS p)
        FROM unnest(asked) AS q OFFSET 0
    ) AS a
    CROSS JOIN LATERAL (
        SELECT substr(a.ids, place, 16) AS id FROM generate_series(1, length(a.ids), 16) AS place OFFSET 0
    ) AS i
    JOIN LATERAL (
        SELECT t.* FROM sessions AS t
        WHERE t.partition = ((get_byte(i.id, 6) & 15) << 8 | get_byte(i.id, 7))::smallint AND t.id = i.id LIMIT 1
    ) AS s ON s.project = a.project
    LEFT JOIN LATERAL record_of(s.partition, 'subject', s.project, convert_to(s.subject, 'UTF8')) AS u ON true;
END
$$;
