-- The first schema.
-- Instants (…_at) are milliseconds since 1970-01-01T00:00:00Z, durations (…_ms) milliseconds.
-- A project is the 16 bytes of its UUID; a session id the 16 bytes of its UUIDv7, which carries its partition.
-- Bodies are JSON: a record's is the whole record, a session's holds the members that have no column.

CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    project BLOB NOT NULL,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    session_kind TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    idle_timeout_ms INTEGER,
    nonce BLOB NOT NULL,
    kid INTEGER NOT NULL,
    prev_kid INTEGER,
    generation INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    seen_generation INTEGER NOT NULL,
    rotates INTEGER NOT NULL,
    deployment_epoch INTEGER NOT NULL,
    project_epoch INTEGER NOT NULL,
    subject_epoch INTEGER NOT NULL,
    revoked_at INTEGER,
    revoked_reason TEXT,
    body TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_subject ON sessions (project, subject, id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_revocation ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- Every other kind. The stamp is drawn anew at each write: equal stamps mean equal bodies, so that a reader that
-- still has a large body decoded need not read it again.
CREATE TABLE records (
    kind TEXT NOT NULL,
    project BLOB NOT NULL,
    id BLOB NOT NULL,
    partition INTEGER NOT NULL,
    version INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    owner TEXT,
    sorted_at INTEGER NOT NULL,
    expires_at INTEGER,
    purge_at INTEGER,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, project, id, partition)
) STRICT, WITHOUT ROWID;

CREATE INDEX records_by_age ON records (kind, project, sorted_at);
CREATE INDEX records_by_owner ON records (kind, project, owner, sorted_at);
CREATE INDEX records_by_purge ON records (purge_at) WHERE purge_at IS NOT NULL;

-- The outbox.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    at INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    project BLOB NOT NULL,
    session BLOB,
    subject TEXT,
    by TEXT NOT NULL,
    data TEXT
) STRICT;

CREATE INDEX events_by_age ON events (at);

-- What commands beside a running server changed, for the server's memory to drop. Written by the triggers of
-- tool_changes.sql, read and cleared by the server.
CREATE TABLE changes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    project BLOB NOT NULL,
    id BLOB NOT NULL
) STRICT;
