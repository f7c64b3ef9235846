-- Doctors' practice hours, the queues of those who walk in, and invitations out of them.
CREATE TABLE schedules (
    id               TEXT NOT NULL PRIMARY KEY,
    doctor_id        TEXT NOT NULL REFERENCES users (id),
    -- The day and the times as the practice's clock shows them.
    date             TEXT NOT NULL,
    start_time       TEXT NOT NULL,
    end_time         TEXT NOT NULL,
    status           TEXT NOT NULL,
    appointment_type TEXT NOT NULL,
    creator_type     TEXT NOT NULL,
    creator_id       TEXT NOT NULL REFERENCES users (id),
    opened_at        INTEGER,
    last_number      INTEGER NOT NULL DEFAULT 0,
    version          INTEGER NOT NULL DEFAULT 0,
    created_at       INTEGER NOT NULL
);
CREATE INDEX schedules_by_date ON schedules (date, start_time, id);
CREATE INDEX schedules_of_doctor ON schedules (doctor_id, date);
-- A doctor has one practice open.
CREATE UNIQUE INDEX one_practice_each ON schedules (doctor_id) WHERE status = 'ONLINE';

CREATE TABLE queue_entries (
    schedule_id  TEXT NOT NULL REFERENCES schedules (id),
    queue_number INTEGER NOT NULL,
    patient_id   TEXT NOT NULL REFERENCES users (id),
    status       TEXT NOT NULL,
    joined_at    INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    PRIMARY KEY (schedule_id, queue_number)
);
-- Nobody waits for two doctors at once.
CREATE UNIQUE INDEX one_queue_each ON queue_entries (patient_id) WHERE status <> 'DONE';

CREATE TABLE invitations (
    id           TEXT NOT NULL PRIMARY KEY,
    schedule_id  TEXT NOT NULL REFERENCES schedules (id),
    patient_id   TEXT NOT NULL REFERENCES users (id),
    status       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    confirmed_at INTEGER,
    ended_at     INTEGER,
    changed_at   INTEGER NOT NULL,
    session_id   TEXT UNIQUE REFERENCES consultation_sessions (id)
);
CREATE INDEX invitations_of_schedule ON invitations (schedule_id, created_at);
CREATE UNIQUE INDEX one_invitation_each ON invitations (patient_id) WHERE status IN ('INVITED', 'CONFIRMED', 'ACTIVE');

-- Practice hours whose change is stored and was not told yet.
CREATE TABLE untold_schedules (
    schedule_id TEXT NOT NULL PRIMARY KEY REFERENCES schedules (id),
    version     INTEGER NOT NULL,
    teller      TEXT NOT NULL,
    tell_before INTEGER NOT NULL
);
