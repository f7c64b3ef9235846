-- Who was in the call of a visit.
CREATE TABLE session_participants (
    session_id   TEXT NOT NULL REFERENCES consultation_sessions (id),
    user_id      TEXT NOT NULL REFERENCES users (id),
    joined_at    BIGINT NOT NULL,
    left_at      BIGINT,
    rejoin_count BIGINT NOT NULL DEFAULT 0,
    device_type  TEXT,
    browser      TEXT,
    os           TEXT,
    PRIMARY KEY (session_id, user_id)
);

-- What happened in a visit, in its order.
CREATE TABLE session_events (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES consultation_sessions (id),
    event_type TEXT NOT NULL,
    user_id    TEXT REFERENCES users (id),
    created_at BIGINT NOT NULL
);
CREATE INDEX session_events_of ON session_events (session_id, id);

-- A file is taken away where no message has it.
CREATE INDEX chat_messages_by_attachment ON chat_messages (attachment_id) WHERE attachment_id IS NOT NULL;

ALTER TABLE chat_messages ADD COLUMN delivered_at BIGINT;
ALTER TABLE chat_messages ADD COLUMN read_at BIGINT;
-- Its writer has taken it back: its words are gone.
ALTER TABLE chat_messages ADD COLUMN deleted_at BIGINT;
-- Messages that were kept for as long as the clinic keeps them.
ALTER TABLE consultation_sessions ADD COLUMN forgotten_messages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE consultation_sessions ADD COLUMN chat_forgotten_at BIGINT;
CREATE INDEX sessions_by_end ON consultation_sessions (ended_at) WHERE ended_at IS NOT NULL AND chat_forgotten_at IS NULL;

-- Of a picture: its size, and whether there is a small one.
ALTER TABLE attachments ADD COLUMN width BIGINT;
ALTER TABLE attachments ADD COLUMN height BIGINT;
ALTER TABLE attachments ADD COLUMN has_thumbnail BOOLEAN NOT NULL DEFAULT FALSE;
-- Shared to be looked at in full, beside the chat.
ALTER TABLE attachments ADD COLUMN is_shared BOOLEAN NOT NULL DEFAULT FALSE;
CREATE TABLE image_views (
    attachment_id TEXT NOT NULL REFERENCES attachments (id) ON DELETE CASCADE,
    user_id       TEXT NOT NULL REFERENCES users (id),
    viewed_at     BIGINT NOT NULL,
    views         BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (attachment_id, user_id)
);

-- Files that nothing points to any more: they are removed after the change that says so is stored.
CREATE TABLE files_to_remove (
    id TEXT NOT NULL PRIMARY KEY
);

-- Whether others may read what a patient said of a doctor.
ALTER TABLE consultation_feedback ADD COLUMN is_public BOOLEAN NOT NULL DEFAULT TRUE;
