-- Pages of subjects' sessions, of several subjects in one call.

CREATE TYPE wanted_page AS (n integer, project bytea, subject text, live_at bigint, before bytea, most integer);

-- Find for each the newest sessions of its subject: below the id *before*, unless that is NULL, and alive at *live_at*, unless
-- that is. The columns of a stored_session, and which page it is; the pages in order, and the newest of each first.
-- What is ordered by subject, and not sorted, only the index by subject can give: the one by age looks as good to a plan that
-- is made while the table is small, and then a page is looked for among all of the project. Where a page begins is said by a
-- row as a whole, and where it ends by the subject alone, as a scan does not end where only a later part of a row differs.
CREATE FUNCTION find_pages(wanted wanted_page[])
RETURNS TABLE (
    id bytea, project bytea, subject text, version bigint, last_seen_at bigint, expires_at bigint,
    idle_timeout_ms bigint, generation bigint, seen_generation bigint, revoked_at bigint, revoked_reason text, body text,
    n integer
) LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET enable_incremental_sort = off
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    PERFORM primary_only();
    RETURN QUERY
    SELECT f.id, f.project, f.subject, f.version, f.last_seen_at, f.expires_at, f.idle_timeout_ms, f.generation,
        f.seen_generation, f.revoked_at, f.revoked_reason, f.body, w.n
    FROM unnest(wanted) AS w
    CROSS JOIN LATERAL (
        SELECT s.* FROM sessions AS s
        WHERE s.project = w.project AND s.subject >= w.subject
            AND (s.subject, s.id) < (w.subject, coalesce(w.before, '\xffffffffffffffffffffffffffffffffff'))
            AND (w.live_at IS NULL OR s.revoked_at IS NULL AND s.expires_at > w.live_at
                AND (s.idle_timeout_ms IS NULL OR s.last_seen_at + s.idle_timeout_ms > w.live_at))
        ORDER BY s.subject DESC, s.id DESC LIMIT w.most
    ) AS f;
END
$$;
