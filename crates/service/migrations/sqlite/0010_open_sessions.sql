-- What the timers look at: visits that have begun or wait, and those that nobody has come to.
CREATE INDEX sessions_open ON consultation_sessions (status, scheduled_start) WHERE ended_at IS NULL;
CREATE INDEX sessions_in_line ON consultation_sessions (doctor_id, status) WHERE ended_at IS NULL;
DROP INDEX sessions_by_status;
-- What is forgotten when it has ended.
CREATE INDEX tokens_by_end ON tokens (expires_at);
CREATE INDEX media_tokens_by_end ON media_tokens (expires_at);
CREATE INDEX token_families_by_use ON token_families (last_used_at);
