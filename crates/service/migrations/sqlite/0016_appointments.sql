-- An appointment's own life, what is paid before it, and when doctors can be booked.
ALTER TABLE appointments ADD COLUMN appointment_type TEXT NOT NULL DEFAULT 'VIRTUAL';
ALTER TABLE appointments ADD COLUMN status TEXT NOT NULL DEFAULT 'BOOKED';
ALTER TABLE appointments ADD COLUMN chief_complaint TEXT;
ALTER TABLE appointments ADD COLUMN payment_status TEXT NOT NULL DEFAULT 'NOT_REQUIRED';
ALTER TABLE appointments ADD COLUMN payment_id TEXT;
UPDATE appointments SET status = COALESCE((
    SELECT CASE s.status
        WHEN 'IN_PROGRESS' THEN 'IN_PROGRESS' WHEN 'PAUSED' THEN 'IN_PROGRESS'
        WHEN 'COMPLETED' THEN 'COMPLETED' WHEN 'FAILED' THEN 'COMPLETED'
        WHEN 'CANCELLED' THEN 'CANCELLED' WHEN 'NO_SHOW' THEN 'NO_SHOW' ELSE 'BOOKED' END
    FROM consultation_sessions s WHERE s.appointment_id = appointments.id), 'BOOKED');
CREATE INDEX appointments_of_doctor ON appointments (doctor_id, scheduled_start_time);
CREATE INDEX appointments_of_patient ON appointments (patient_id, scheduled_start_time);
CREATE INDEX appointments_by_time ON appointments (scheduled_start_time, id);

CREATE TABLE doctor_availability (
    doctor_id    TEXT NOT NULL PRIMARY KEY REFERENCES users (id),
    availability TEXT NOT NULL
);
