-- The doctor's notes, what went wrong, what the doctor says to feedback, and prices that rest.
ALTER TABLE consultation_sessions ADD COLUMN notes TEXT;
ALTER TABLE consultation_sessions ADD COLUMN notes_at INTEGER;
ALTER TABLE consultation_feedback ADD COLUMN doctor_response TEXT;
ALTER TABLE consultation_feedback ADD COLUMN doctor_responded_at INTEGER;
ALTER TABLE consultation_pricing ADD COLUMN is_active INTEGER NOT NULL DEFAULT 1;
CREATE INDEX feedback_of_doctor ON consultation_feedback (doctor_id, created_at);
CREATE TABLE session_issues (
    id          TEXT NOT NULL PRIMARY KEY,
    session_id  TEXT NOT NULL REFERENCES consultation_sessions (id),
    user_id     TEXT NOT NULL REFERENCES users (id),
    issue_type  TEXT NOT NULL,
    description TEXT,
    created_at  INTEGER NOT NULL
);
CREATE INDEX issues_of_session ON session_issues (session_id, created_at);
