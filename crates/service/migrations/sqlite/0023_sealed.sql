-- Which key what somebody wrote is sealed with; none of what was written before there were any.
ALTER TABLE chat_messages ADD COLUMN sealed_with TEXT;
ALTER TABLE consultation_sessions ADD COLUMN notes_sealed_with TEXT;
CREATE INDEX chat_messages_by_seal ON chat_messages (sealed_with);

-- Keys that something may be sealed with: a service that has not all of them does not start.
CREATE TABLE sealing_keys (
    id            TEXT NOT NULL PRIMARY KEY,
    first_used_at INTEGER NOT NULL
);
