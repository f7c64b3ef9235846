-- Instants are milliseconds since 1970 in UTC, ids are UUIDs as text, money is decimal text.

CREATE TABLE users (
    id             TEXT PRIMARY KEY,
    role           TEXT NOT NULL CHECK (role IN ('PATIENT', 'DOCTOR', 'CLINIC_ADMIN')),
    email          TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password_hash  TEXT NOT NULL,
    name           TEXT NOT NULL,
    specialization TEXT,
    created_at     INTEGER NOT NULL
);

-- One row for each sign-in; its tokens end with it.
CREATE TABLE token_families (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    ended_at     INTEGER
);

-- Tokens are kept as SHA-256 only.
CREATE TABLE tokens (
    hash       BLOB PRIMARY KEY,
    family_id  TEXT NOT NULL REFERENCES token_families (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('access', 'refresh')),
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
);
CREATE INDEX tokens_by_family ON tokens (family_id);

CREATE TABLE appointments (
    id                         TEXT PRIMARY KEY,
    patient_id                 TEXT NOT NULL REFERENCES users (id),
    doctor_id                  TEXT NOT NULL REFERENCES users (id),
    consultation_mode          TEXT NOT NULL,
    scheduled_start_time       INTEGER NOT NULL,
    scheduled_duration_minutes INTEGER NOT NULL CHECK (scheduled_duration_minutes BETWEEN 1 AND 120),
    created_at                 INTEGER NOT NULL
);

CREATE TABLE consultation_sessions (
    id                TEXT PRIMARY KEY,
    appointment_id    TEXT NOT NULL UNIQUE REFERENCES appointments (id),
    patient_id        TEXT NOT NULL REFERENCES users (id),
    doctor_id         TEXT NOT NULL REFERENCES users (id),
    consultation_mode TEXT NOT NULL,
    room_name         TEXT NOT NULL UNIQUE,
    -- The state machine of bedside-consult, field by field.
    status            TEXT NOT NULL,
    end_reason        TEXT,
    scheduled_start   INTEGER NOT NULL,
    scheduled_minutes INTEGER NOT NULL,
    waiting_since     INTEGER,
    ready             INTEGER NOT NULL DEFAULT 0,
    device_check      TEXT,
    admitted          INTEGER NOT NULL DEFAULT 0,
    patient_joined    INTEGER NOT NULL DEFAULT 0,
    doctor_joined     INTEGER NOT NULL DEFAULT 0,
    started_at        INTEGER,
    ended_at          INTEGER,
    clock_since       INTEGER,
    clock_before_ms   INTEGER NOT NULL DEFAULT 0,
    -- Counts up with each change, so that two writers can't overwrite one another.
    version           INTEGER NOT NULL DEFAULT 0,
    created_at        INTEGER NOT NULL
);
CREATE INDEX sessions_by_patient ON consultation_sessions (patient_id, scheduled_start);
CREATE INDEX sessions_by_doctor ON consultation_sessions (doctor_id, scheduled_start);
CREATE INDEX sessions_by_status ON consultation_sessions (status);

CREATE TABLE media_tokens (
    hash       BLOB PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES consultation_sessions (id),
    user_id    TEXT NOT NULL REFERENCES users (id),
    expires_at INTEGER NOT NULL
);

CREATE TABLE attachments (
    id         TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES consultation_sessions (id),
    owner_id   TEXT NOT NULL REFERENCES users (id),
    file_name  TEXT NOT NULL,
    file_size  INTEGER NOT NULL,
    mime_type  TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE chat_messages (
    id                TEXT PRIMARY KEY,
    session_id        TEXT NOT NULL REFERENCES consultation_sessions (id),
    seq               INTEGER NOT NULL,
    client_message_id TEXT NOT NULL,
    sender_id         TEXT NOT NULL REFERENCES users (id),
    message_type      TEXT NOT NULL,
    content           TEXT NOT NULL,
    attachment_id     TEXT REFERENCES attachments (id),
    created_at        INTEGER NOT NULL,
    UNIQUE (session_id, seq),
    UNIQUE (session_id, sender_id, client_message_id)
);

-- How far each participant has got in the other's messages.
CREATE TABLE chat_progress (
    session_id    TEXT NOT NULL REFERENCES consultation_sessions (id),
    user_id       TEXT NOT NULL REFERENCES users (id),
    delivered_seq INTEGER NOT NULL DEFAULT 0,
    read_seq      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id, user_id)
);

CREATE TABLE consultation_feedback (
    session_id         TEXT PRIMARY KEY REFERENCES consultation_sessions (id),
    patient_id         TEXT NOT NULL REFERENCES users (id),
    doctor_id          TEXT NOT NULL REFERENCES users (id),
    overall_rating     INTEGER NOT NULL CHECK (overall_rating BETWEEN 1 AND 5),
    audio_quality      INTEGER CHECK (audio_quality BETWEEN 1 AND 5),
    video_quality      INTEGER CHECK (video_quality BETWEEN 1 AND 5),
    doctor_behaviour   INTEGER CHECK (doctor_behaviour BETWEEN 1 AND 5),
    review_text        TEXT,
    feedback_tags      TEXT NOT NULL,
    would_recommend    INTEGER,
    created_at         INTEGER NOT NULL
);

CREATE TABLE consultation_pricing (
    doctor_id         TEXT NOT NULL REFERENCES users (id),
    consultation_mode TEXT NOT NULL,
    -- {"type":"FLAT","fee":"500.00"} and so on: see store/pricing.rs.
    pricing           TEXT NOT NULL,
    currency          TEXT NOT NULL,
    PRIMARY KEY (doctor_id, consultation_mode)
);

-- Who did or looked at what, when. Rows are only ever added.
CREATE TABLE audit_log (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    user_id    TEXT,
    action     TEXT NOT NULL,
    session_id TEXT
);
CREATE TRIGGER audit_log_is_append_only_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_log_is_append_only_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
