-- When each first entered the call that came about.
ALTER TABLE consultation_sessions ADD COLUMN patient_joined_at INTEGER;
ALTER TABLE consultation_sessions ADD COLUMN doctor_joined_at INTEGER;
-- Of earlier ones by their record, and by the clock before there was one: it starts when both are there.
UPDATE consultation_sessions SET
    patient_joined_at = COALESCE((SELECT min(p.joined_at) FROM session_participants p
        WHERE p.session_id = consultation_sessions.id AND p.user_id = patient_id), started_at),
    doctor_joined_at = COALESCE((SELECT min(p.joined_at) FROM session_participants p
        WHERE p.session_id = consultation_sessions.id AND p.user_id = doctor_id), started_at)
    WHERE started_at IS NOT NULL;
ALTER TABLE consultation_sessions ADD COLUMN updated_at INTEGER;
-- Whether the patient's last answer to a calling-in was no.
ALTER TABLE consultation_sessions ADD COLUMN declined INTEGER NOT NULL DEFAULT 0;
-- How it was seen and heard, in a word each, once it has ended.
ALTER TABLE consultation_sessions ADD COLUMN patient_connection_quality TEXT;
ALTER TABLE consultation_sessions ADD COLUMN doctor_connection_quality TEXT;
-- Of the system that keeps prescriptions.
ALTER TABLE consultation_sessions ADD COLUMN prescription_id TEXT;
-- For the desk's day.
CREATE INDEX sessions_by_start ON consultation_sessions (scheduled_start, id);
-- Media tokens say themselves what they are for. Their table is only written by services of before, which run beside
-- new ones while a clinic brings its services up to date; it goes with a later change.
