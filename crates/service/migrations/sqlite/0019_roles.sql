-- no-transaction
-- Machines and other systems have accounts as well. SQLite changes no CHECK: the table is made anew, in a transaction
-- of its own, while nothing looks at what refers to it.
PRAGMA foreign_keys = OFF;
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS users_with_roles;
CREATE TABLE users_with_roles (
    id             TEXT PRIMARY KEY,
    role           TEXT NOT NULL CHECK (role IN ('PATIENT', 'DOCTOR', 'CLINIC_ADMIN', 'KIOSK', 'SERVICE')),
    email          TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password_hash  TEXT NOT NULL,
    name           TEXT NOT NULL,
    specialization TEXT,
    created_at     INTEGER NOT NULL,
    disabled_at    INTEGER,
    confirmed_at   INTEGER,
    clinic_id      TEXT REFERENCES clinics (id)
);
INSERT INTO users_with_roles
    SELECT id, role, email, password_hash, name, specialization, created_at, disabled_at, confirmed_at, clinic_id FROM users;
DROP TABLE users;
ALTER TABLE users_with_roles RENAME TO users;
COMMIT;
PRAGMA foreign_keys = ON;
