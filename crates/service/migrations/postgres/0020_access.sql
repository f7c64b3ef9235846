-- A sign-in for one visit only, and one that ends at a time of its own.
ALTER TABLE token_families ADD COLUMN session_id TEXT REFERENCES consultation_sessions (id);
ALTER TABLE token_families ADD COLUMN lasts_until BIGINT;

-- Links into one visit, in its patient's place. They are kept as SHA-256 only.
CREATE TABLE visit_links (
    id         TEXT NOT NULL PRIMARY KEY,
    hash       BYTEA NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES consultation_sessions (id),
    made_by    TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    opened_at  BIGINT,
    ended_at   BIGINT,
    -- The client's secret for its opening, by which it may ask again, and the sign-in that came of it.
    attempt    BYTEA,
    family_id  TEXT
);
CREATE INDEX visit_links_of_session ON visit_links (session_id);

-- What a patient says or shows at a kiosk.
ALTER TABLE appointments ADD COLUMN check_in_code TEXT;
ALTER TABLE appointments ADD COLUMN checked_in_at BIGINT;
CREATE UNIQUE INDEX appointments_by_code ON appointments (check_in_code);

-- Whom another issuer's tokens are of.
CREATE TABLE outside_accounts (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (issuer, subject)
);
