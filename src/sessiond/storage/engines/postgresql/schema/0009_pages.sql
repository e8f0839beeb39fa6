-- Pages as find_pages finds them, which nodes of the former version call. Of a subject with many ended sessions no more than a
-- thousand are looked at here, where others wait: the last of these is returned in any case, and its page is *unfinished*.
CREATE FUNCTION find_pages_within(wanted wanted_page[])
RETURNS TABLE (
    id bytea, project bytea, subject text, version bigint, last_seen_at bigint, expires_at bigint,
    idle_timeout_ms bigint, generation bigint, seen_generation bigint, revoked_at bigint, revoked_reason text, body text,
    n integer, unfinished boolean
) LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET enable_incremental_sort = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM primary_only();
    RETURN QUERY
    SELECT f.id, f.project, f.subject, f.version, f.last_seen_at, f.expires_at, f.idle_timeout_ms, f.generation,
        f.seen_generation, f.revoked_at, f.revoked_reason, f.body, w.n, f.place = 1000
    FROM unnest(wanted) AS w
    CROSS JOIN LATERAL (
        SELECT a.* FROM (
            SELECT s.*, row_number() OVER () AS place FROM (
                SELECT s.* FROM sessions AS s
                WHERE s.project = w.project AND s.subject >= w.subject
                    AND (s.subject, s.id) < (w.subject, coalesce(w.before, '\xffffffffffffffffffffffffffffffffff'))
                ORDER BY s.subject DESC, s.id DESC LIMIT 1000
            ) AS s
        ) AS a
        WHERE a.place = 1000 OR w.live_at IS NULL OR a.revoked_at IS NULL AND a.expires_at > w.live_at
            AND (a.idle_timeout_ms IS NULL OR a.last_seen_at + a.idle_timeout_ms > w.live_at)
        LIMIT w.most
    ) AS f;
END
$$;
