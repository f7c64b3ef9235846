-- What SQLite has after its first twelve. From here on each change has one number and stands in both folders.
-- Instants are milliseconds since 1970 in UTC, ids are UUIDs as text, money is decimal text.

CREATE TABLE users (
    id             TEXT PRIMARY KEY,
    role           TEXT NOT NULL CHECK (role IN ('PATIENT', 'DOCTOR', 'CLINIC_ADMIN')),
    -- In small letters.
    email          TEXT NOT NULL UNIQUE,
    password_hash  TEXT NOT NULL,
    name           TEXT NOT NULL,
    specialization TEXT,
    created_at     BIGINT NOT NULL,
    disabled_at    BIGINT,
    confirmed_at   BIGINT
);

CREATE TABLE token_families (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    ended_at     BIGINT
);
CREATE INDEX token_families_by_use ON token_families (last_used_at);
CREATE INDEX token_families_of ON token_families (user_id);

CREATE TABLE tokens (
    hash       BYTEA PRIMARY KEY,
    family_id  TEXT NOT NULL REFERENCES token_families (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('access', 'refresh')),
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    follows    BYTEA,
    attempt    BYTEA
);
CREATE INDEX tokens_by_family ON tokens (family_id);
CREATE INDEX tokens_follows ON tokens (follows);
CREATE INDEX tokens_by_end ON tokens (expires_at);

CREATE TABLE appointments (
    id                         TEXT PRIMARY KEY,
    patient_id                 TEXT NOT NULL REFERENCES users (id),
    doctor_id                  TEXT NOT NULL REFERENCES users (id),
    consultation_mode          TEXT NOT NULL,
    scheduled_start_time       BIGINT NOT NULL,
    scheduled_duration_minutes BIGINT NOT NULL CHECK (scheduled_duration_minutes BETWEEN 1 AND 120),
    created_at                 BIGINT NOT NULL
);

CREATE TABLE consultation_sessions (
    id                TEXT PRIMARY KEY,
    appointment_id    TEXT NOT NULL UNIQUE REFERENCES appointments (id),
    patient_id        TEXT NOT NULL REFERENCES users (id),
    doctor_id         TEXT NOT NULL REFERENCES users (id),
    consultation_mode TEXT NOT NULL,
    room_name         TEXT NOT NULL UNIQUE,
    status            TEXT NOT NULL,
    end_reason        TEXT,
    scheduled_start   BIGINT NOT NULL,
    scheduled_minutes BIGINT NOT NULL,
    waiting_since     BIGINT,
    ready             BOOLEAN NOT NULL DEFAULT FALSE,
    device_check      TEXT,
    admitted          BOOLEAN NOT NULL DEFAULT FALSE,
    patient_joined    BOOLEAN NOT NULL DEFAULT FALSE,
    doctor_joined     BOOLEAN NOT NULL DEFAULT FALSE,
    started_at        BIGINT,
    ended_at          BIGINT,
    clock_since       BIGINT,
    clock_before_ms   BIGINT NOT NULL DEFAULT 0,
    version           BIGINT NOT NULL DEFAULT 0,
    created_at        BIGINT NOT NULL,
    left_at           BIGINT,
    admitted_at       BIGINT,
    amount_charged    TEXT,
    currency          TEXT,
    recalled_from     TEXT REFERENCES consultation_sessions (id),
    patient_device    TEXT,
    doctor_device     TEXT
);
CREATE INDEX sessions_by_patient ON consultation_sessions (patient_id, scheduled_start);
CREATE INDEX sessions_by_doctor ON consultation_sessions (doctor_id, scheduled_start);
CREATE INDEX sessions_open ON consultation_sessions (status, scheduled_start) WHERE ended_at IS NULL;
CREATE INDEX sessions_in_line ON consultation_sessions (doctor_id, status) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX sessions_recalled_from ON consultation_sessions (recalled_from) WHERE recalled_from IS NOT NULL;

CREATE TABLE media_tokens (
    hash       BYTEA PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES consultation_sessions (id),
    user_id    TEXT NOT NULL REFERENCES users (id),
    expires_at BIGINT NOT NULL,
    device     TEXT
);
CREATE INDEX media_tokens_by_end ON media_tokens (expires_at);

CREATE TABLE attachments (
    id         TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES consultation_sessions (id),
    owner_id   TEXT NOT NULL REFERENCES users (id),
    file_name  TEXT NOT NULL,
    file_size  BIGINT NOT NULL,
    mime_type  TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX attachments_of ON attachments (session_id);

CREATE TABLE chat_messages (
    id                TEXT PRIMARY KEY,
    session_id        TEXT NOT NULL REFERENCES consultation_sessions (id),
    seq               BIGINT NOT NULL,
    client_message_id TEXT NOT NULL,
    sender_id         TEXT NOT NULL REFERENCES users (id),
    message_type      TEXT NOT NULL,
    content           TEXT NOT NULL,
    attachment_id     TEXT REFERENCES attachments (id),
    created_at        BIGINT NOT NULL,
    UNIQUE (session_id, seq),
    UNIQUE (session_id, sender_id, client_message_id)
);

CREATE TABLE chat_progress (
    session_id    TEXT NOT NULL REFERENCES consultation_sessions (id),
    user_id       TEXT NOT NULL REFERENCES users (id),
    delivered_seq BIGINT NOT NULL DEFAULT 0,
    read_seq      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id, user_id)
);

CREATE TABLE consultation_feedback (
    session_id         TEXT PRIMARY KEY REFERENCES consultation_sessions (id),
    patient_id         TEXT NOT NULL REFERENCES users (id),
    doctor_id          TEXT NOT NULL REFERENCES users (id),
    overall_rating     BIGINT NOT NULL CHECK (overall_rating BETWEEN 1 AND 5),
    audio_quality      BIGINT CHECK (audio_quality BETWEEN 1 AND 5),
    video_quality      BIGINT CHECK (video_quality BETWEEN 1 AND 5),
    doctor_behaviour   BIGINT CHECK (doctor_behaviour BETWEEN 1 AND 5),
    review_text        TEXT,
    feedback_tags      TEXT NOT NULL,
    would_recommend    BOOLEAN,
    created_at         BIGINT NOT NULL
);

CREATE TABLE consultation_pricing (
    doctor_id         TEXT NOT NULL REFERENCES users (id),
    consultation_mode TEXT NOT NULL,
    pricing           TEXT NOT NULL,
    currency          TEXT NOT NULL,
    PRIMARY KEY (doctor_id, consultation_mode)
);

CREATE TABLE device_checks (
    code       TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id),
    checked_at BIGINT NOT NULL,
    report     TEXT NOT NULL
);
CREATE INDEX device_checks_of ON device_checks (user_id, checked_at);

CREATE TABLE quality_reports (
    session_id TEXT NOT NULL REFERENCES consultation_sessions (id),
    party      TEXT NOT NULL,
    at         BIGINT NOT NULL,
    report     TEXT NOT NULL
);
CREATE INDEX quality_of ON quality_reports (session_id, party);

CREATE TABLE untold_sessions (
    session_id TEXT PRIMARY KEY REFERENCES consultation_sessions (id),
    version    BIGINT NOT NULL
);

-- Who did or looked at what, when. Rows are only ever added.
CREATE TABLE audit_log (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT NOT NULL,
    user_id    TEXT,
    action     TEXT NOT NULL,
    session_id TEXT
);
CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
