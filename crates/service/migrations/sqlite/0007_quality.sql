-- How a visit was seen and heard, as each side told it every ten seconds.
CREATE TABLE quality_reports (
    session_id TEXT NOT NULL REFERENCES consultation_sessions (id),
    party TEXT NOT NULL,
    at INTEGER NOT NULL,
    report TEXT NOT NULL
);
CREATE INDEX quality_of ON quality_reports (session_id, party);
