-- The first schema, made within the namespace's own schema, which the search path names.
-- Instants (…_at, at) are milliseconds since 1970-01-01T00:00:00Z, durations (…_ms) milliseconds.
-- A project is the 16 bytes of its UUID; a session id the 16 bytes of its UUIDv7, which carries its partition (0 to 4095).
-- Bodies are JSON: a record's is the whole record, a session's holds the members that have no column.
-- Later files only add: a node of the former version goes on with what it knows until it is replaced.

-- Whoever writes in a partition holds its row until the commit: changes of one partition follow each other, so that
-- an expectation that held still holds when the change is written, and sequences of events rise in commit order.
CREATE TABLE partition_locks (
    partition smallint PRIMARY KEY
);
INSERT INTO partition_locks SELECT generate_series(0, 4095);

CREATE TABLE sessions (
    version bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    generation bigint NOT NULL,
    seen_generation bigint NOT NULL,
    partition smallint NOT NULL,
    actor_partition smallint,
    id bytea NOT NULL,
    project bytea NOT NULL,
    subject text NOT NULL,
    idle_timeout_ms bigint,
    revoked_at bigint,
    revoked_reason text,
    actor_subject text,
    actor_session bytea,
    body text NOT NULL,
    PRIMARY KEY (partition, id)
) WITH (fillfactor = 85);

CREATE INDEX sessions_by_subject ON sessions (project, subject, id);
CREATE INDEX sessions_by_age ON sessions (project, id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_revocation ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- Every other kind. The stamp is drawn anew at each write: equal stamps mean equal bodies, so that a reader that still
-- has a large body decoded need not be sent it again. It is random, so that no failover can draw one twice.
CREATE TABLE records (
    version bigint NOT NULL,
    sorted_at bigint NOT NULL,
    partition smallint NOT NULL,
    kind text NOT NULL,
    project bytea NOT NULL,
    id bytea NOT NULL,
    stamp bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()),
    owner text,
    expires_at bigint,
    purge_at bigint,
    body text NOT NULL,
    PRIMARY KEY (partition, kind, project, id)
) WITH (fillfactor = 85);

CREATE INDEX records_by_age ON records (kind, project, sorted_at, id);
CREATE INDEX records_by_owner ON records (kind, project, owner, sorted_at, id);
CREATE INDEX records_by_purge ON records (purge_at) WHERE purge_at IS NOT NULL;

-- The outbox, and the highest sequence that was ever removed from it.
CREATE SEQUENCE event_sequence;
CREATE TABLE events (
    sequence bigint NOT NULL,
    at bigint NOT NULL,
    partition smallint NOT NULL,
    type text NOT NULL,
    project bytea NOT NULL,
    session bytea,
    subject text,
    by text NOT NULL,
    data text,
    PRIMARY KEY (partition, sequence)
);

CREATE INDEX events_by_sequence ON events (sequence);
CREATE INDEX events_by_age ON events (at);

CREATE TABLE purged_events (
    newest bigint NOT NULL
);
INSERT INTO purged_events VALUES (0);

-- What functions take, in arrays, and return. Types of their own: a column that is added later changes none of them.
-- *op* numbers the operations of a batch, *n* its questions.
CREATE TYPE stored_session AS (
    id bytea, project bytea, subject text, version bigint, last_seen_at bigint, expires_at bigint,
    idle_timeout_ms bigint, generation bigint, seen_generation bigint, revoked_at bigint, revoked_reason text, body text
);
CREATE TYPE wanted_session AS (n integer, partition smallint, project bytea, id bytea);
CREATE TYPE wanted_record AS (n integer, kind text, partition smallint, project bytea, id bytea);
CREATE TYPE expectation AS (op integer, kind text, partition smallint, project bytea, id bytea, version bigint);
CREATE TYPE put_session AS (
    op integer, version bigint, last_seen_at bigint, expires_at bigint, generation bigint, seen_generation bigint,
    partition smallint, actor_partition smallint, id bytea, project bytea, subject text, idle_timeout_ms bigint,
    revoked_at bigint, revoked_reason text, actor_subject text, actor_session bytea, body text
);
CREATE TYPE put_record AS (
    op integer, version bigint, sorted_at bigint, partition smallint, kind text, project bytea, id bytea, owner text,
    expires_at bigint, purge_at bigint, body text
);
CREATE TYPE removal AS (op integer, kind text, partition smallint, project bytea, id bytea);
CREATE TYPE told_event AS (
    op integer, at bigint, partition smallint, type text, project bytea, session bytea, subject text, by text, data text
);
CREATE TYPE revocation AS (op integer, partition smallint, project bytea, id bytea, at bigint, reason text);
CREATE TYPE touch AS (partition smallint, project bytea, id bytea, seen_at bigint, generation bigint);
CREATE TYPE rewritten_event AS (
    sequence bigint, at bigint, partition smallint, type text, project bytea, session bytea, subject text, by text,
    data text
);
