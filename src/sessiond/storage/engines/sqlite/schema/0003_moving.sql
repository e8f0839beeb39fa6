-- Events by sequence and partition: an event that was moved here keeps its sequence, and where it comes from each
-- partition may have numbered its own, so that two of one number are of two partitions.
-- A sequence is one more than the highest that is there or ever was: purged_events remembers what a purge took away.

ALTER TABLE events RENAME TO former_events;
DROP INDEX events_by_age;

CREATE TABLE events (
    sequence INTEGER NOT NULL,
    type TEXT NOT NULL,
    at INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    project BLOB NOT NULL,
    session BLOB,
    subject TEXT,
    by TEXT NOT NULL,
    data TEXT,
    PRIMARY KEY (sequence, partition)
) STRICT, WITHOUT ROWID;

INSERT INTO events (sequence, type, at, partition, project, session, subject, by, data)
    SELECT sequence, type, at, partition, project, session, subject, by, data FROM former_events ORDER BY sequence;

CREATE TABLE purged_events (
    newest INTEGER NOT NULL
) STRICT;

INSERT INTO purged_events SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'former_events';

DROP TABLE former_events;

CREATE INDEX events_by_age ON events (at);
