-- Sessions whose change is stored and was not told yet to those who listen: stored with the change, gone when told.
CREATE TABLE untold_sessions (
    session_id TEXT PRIMARY KEY REFERENCES consultation_sessions (id),
    version INTEGER NOT NULL
);
