-- When each first entered the call that came about.
ALTER TABLE consultation_sessions ADD COLUMN patient_joined_at BIGINT;
ALTER TABLE consultation_sessions ADD COLUMN doctor_joined_at BIGINT;
ALTER TABLE consultation_sessions ADD COLUMN updated_at BIGINT;
-- Of earlier ones by their record: the last that came before the clock started; and by the clock where there is none.
UPDATE consultation_sessions SET
    patient_joined_at = COALESCE((SELECT max(e.created_at) FROM session_events e WHERE e.session_id = consultation_sessions.id
        AND e.event_type = 'patient_joined' AND e.created_at <= started_at), started_at),
    doctor_joined_at = COALESCE((SELECT max(e.created_at) FROM session_events e WHERE e.session_id = consultation_sessions.id
        AND e.event_type = 'doctor_joined' AND e.created_at <= started_at), started_at)
    WHERE started_at IS NOT NULL;
UPDATE consultation_sessions SET doctor_joined_at = admitted_at WHERE started_at IS NULL AND doctor_joined;
UPDATE consultation_sessions SET updated_at = COALESCE(ended_at, started_at, waiting_since)
    WHERE COALESCE(ended_at, started_at, waiting_since) IS NOT NULL;
-- Whether the patient's last answer to a calling-in was no.
ALTER TABLE consultation_sessions ADD COLUMN declined BOOLEAN NOT NULL DEFAULT FALSE;
-- How it was seen and heard, in a word each, once it has ended.
ALTER TABLE consultation_sessions ADD COLUMN patient_connection_quality TEXT;
ALTER TABLE consultation_sessions ADD COLUMN doctor_connection_quality TEXT;
-- Of the system that keeps prescriptions.
ALTER TABLE consultation_sessions ADD COLUMN prescription_id TEXT;
-- For the desk's day, and for lists of one person's in order.
CREATE INDEX sessions_by_start ON consultation_sessions (scheduled_start, id);
DROP INDEX sessions_by_patient;
CREATE INDEX sessions_by_patient ON consultation_sessions (patient_id, scheduled_start, id);
DROP INDEX sessions_by_doctor;
CREATE INDEX sessions_by_doctor ON consultation_sessions (doctor_id, scheduled_start, id);
-- Media tokens say themselves what they are for.
DROP TABLE media_tokens;
