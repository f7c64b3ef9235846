-- How people are reached, and whether they want to be.
ALTER TABLE users ADD COLUMN phone TEXT;
ALTER TABLE users ADD COLUMN wants_messages BOOLEAN NOT NULL DEFAULT TRUE;
-- Whoever has this address reads its mail. Whose account it is, the practice makes sure of (confirmed_at).
ALTER TABLE users ADD COLUMN address_confirmed_at INTEGER;

-- The last reminder of an appointment that was given: 1 a day before, 2 soon before.
ALTER TABLE appointments ADD COLUMN reminded INTEGER NOT NULL DEFAULT 0;
-- When its time was last chosen; when it was made, unless it was moved.
ALTER TABLE appointments ADD COLUMN planned_at INTEGER;
CREATE INDEX appointments_to_remind ON appointments (status, scheduled_start_time);

-- What people are told. Each of a kind once for each visit.
CREATE TABLE notifications (
    id         TEXT NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id),
    kind       TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES consultation_sessions (id),
    created_at INTEGER NOT NULL,
    UNIQUE (user_id, kind, session_id)
);
CREATE INDEX notifications_of_user ON notifications (user_id, created_at);
CREATE INDEX notifications_by_age ON notifications (created_at);

-- What is on its way out of the service, written with what it is about. Nothing here is a secret, nor says what for.
CREATE TABLE outgoing (
    id            TEXT NOT NULL PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id),
    kind          TEXT NOT NULL,
    channel       TEXT NOT NULL,
    session_id    TEXT REFERENCES consultation_sessions (id),
    not_before    INTEGER NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    claimed_until INTEGER,
    given_up_at   INTEGER
);
CREATE INDEX outgoing_by_time ON outgoing (channel, not_before);

-- What a mail opens: another password, or that an address is one's own. Kept as SHA-256 only.
CREATE TABLE mail_tokens (
    hash       BLOB NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id),
    kind       TEXT NOT NULL,
    expires_at INTEGER NOT NULL
);

-- By which sign-in somebody did it who came by a link or a code, in a patient's place.
ALTER TABLE audit_log ADD COLUMN guest TEXT;
