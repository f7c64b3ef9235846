-- The session whose patient the doctor re-called: one re-call of each.
ALTER TABLE consultation_sessions ADD COLUMN recalled_from TEXT REFERENCES consultation_sessions (id);
CREATE UNIQUE INDEX sessions_recalled_from ON consultation_sessions (recalled_from) WHERE recalled_from IS NOT NULL;
