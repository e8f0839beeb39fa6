-- Triggers that refuse every write, by any process: what lies here was moved to another database. They stay until they
-- are dropped by their names.

CREATE TRIGGER IF NOT EXISTS fence_new_sessions BEFORE INSERT ON sessions BEGIN
    SELECT RAISE(ABORT, 'moved away');
END;

CREATE TRIGGER IF NOT EXISTS fence_changed_sessions BEFORE UPDATE ON sessions BEGIN
    SELECT RAISE(ABORT, 'moved away');
END;

CREATE TRIGGER IF NOT EXISTS fence_removed_sessions BEFORE DELETE ON sessions BEGIN
    SELECT RAISE(ABORT, 'moved away');
END;

CREATE TRIGGER IF NOT EXISTS fence_new_records BEFORE INSERT ON records BEGIN
    SELECT RAISE(ABORT, 'moved away');
END;

CREATE TRIGGER IF NOT EXISTS fence_changed_records BEFORE UPDATE ON records BEGIN
    SELECT RAISE(ABORT, 'moved away');
END;

CREATE TRIGGER IF NOT EXISTS fence_removed_records BEFORE DELETE ON records BEGIN
    SELECT RAISE(ABORT, 'moved away');
END;

CREATE TRIGGER IF NOT EXISTS fence_new_events BEFORE INSERT ON events BEGIN
    SELECT RAISE(ABORT, 'moved away');
END;

CREATE TRIGGER IF NOT EXISTS fence_changed_events BEFORE UPDATE ON events BEGIN
    SELECT RAISE(ABORT, 'moved away');
END;

CREATE TRIGGER IF NOT EXISTS fence_removed_events BEFORE DELETE ON events BEGIN
    SELECT RAISE(ABORT, 'moved away');
END;
