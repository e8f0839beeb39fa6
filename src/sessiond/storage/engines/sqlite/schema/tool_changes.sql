-- Temporary triggers of a command's own connection: whatever it changes or removes, a running server must drop from
-- its memory. What is only added cannot be there. They live and end with the connection; a server has none.

CREATE TEMP TRIGGER session_changed AFTER UPDATE ON main.sessions BEGIN
    INSERT INTO changes (kind, project, id) VALUES ('session', old.project, old.id);
END;

CREATE TEMP TRIGGER session_removed AFTER DELETE ON main.sessions BEGIN
    INSERT INTO changes (kind, project, id) VALUES ('session', old.project, old.id);
END;

CREATE TEMP TRIGGER record_changed AFTER UPDATE ON main.records BEGIN
    INSERT INTO changes (kind, project, id) VALUES (old.kind, old.project, old.id);
END;

CREATE TEMP TRIGGER record_removed AFTER DELETE ON main.records BEGIN
    INSERT INTO changes (kind, project, id) VALUES (old.kind, old.project, old.id);
END;
