-- From where, to whose data, to which thing, and whether it was refused; and what shows that no line was changed since.
ALTER TABLE audit_log DISABLE TRIGGER audit_log_is_append_only;
ALTER TABLE audit_log ADD COLUMN origin TEXT;
ALTER TABLE audit_log ADD COLUMN patient_id TEXT;
ALTER TABLE audit_log ADD COLUMN object TEXT;
ALTER TABLE audit_log ADD COLUMN refused TEXT;
UPDATE audit_log SET patient_id = (SELECT patient_id FROM consultation_sessions s WHERE s.id = audit_log.session_id);
ALTER TABLE audit_log ENABLE TRIGGER audit_log_is_append_only;
CREATE INDEX audit_log_of_patient ON audit_log (patient_id, id);

-- Each line's place in a chain: a hash of it and of the one before. Written a moment after the line, in the order in
-- which they were found.
CREATE TABLE audit_seals (
    number   BIGINT NOT NULL PRIMARY KEY,
    audit_id BIGINT NOT NULL UNIQUE REFERENCES audit_log (id),
    hash     BYTEA NOT NULL
);
CREATE TRIGGER audit_seals_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only();
