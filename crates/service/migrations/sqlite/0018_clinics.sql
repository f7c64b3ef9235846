-- Clinics that share a service: none sees the others'.
CREATE TABLE clinics (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
);
ALTER TABLE users ADD COLUMN clinic_id TEXT REFERENCES clinics (id);
-- As its doctor's was when it was made.
ALTER TABLE appointments ADD COLUMN clinic_id TEXT REFERENCES clinics (id);
ALTER TABLE schedules ADD COLUMN clinic_id TEXT REFERENCES clinics (id);
