-- A project's sessions, newest first, without looking at any other project's. Ids begin with the time, so that new
-- entries of a project go to the end of its own.

CREATE INDEX sessions_by_project ON sessions (project, id);
