-- Services that share this database, and until when each counts as running without saying so again.
CREATE TABLE instances (
    id         TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
-- What only one of them does at a time.
CREATE TABLE leases (
    name       TEXT NOT NULL PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
-- Who has a socket in which visit's topic, through which service; or had one.
CREATE TABLE presence (
    session_id  TEXT NOT NULL REFERENCES consultation_sessions (id),
    user_id     TEXT NOT NULL REFERENCES users (id),
    instance_id TEXT NOT NULL,
    is_here     BOOLEAN NOT NULL,
    -- Since when this is so.
    since       BIGINT NOT NULL,
    -- They left on purpose or were given up, and have not come again.
    has_left    BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (session_id, user_id, instance_id)
);
CREATE INDEX presence_of_instance ON presence (instance_id);
CREATE INDEX presence_by_age ON presence (since);
-- Which service is to tell it, and when another one may.
ALTER TABLE untold_sessions ADD COLUMN teller TEXT NOT NULL DEFAULT '';
ALTER TABLE untold_sessions ADD COLUMN tell_before BIGINT NOT NULL DEFAULT 0;
-- The place in line and the minutes to wait, as they were told last.
ALTER TABLE consultation_sessions ADD COLUMN told_place BIGINT;
ALTER TABLE consultation_sessions ADD COLUMN told_minutes BIGINT;
