-- What a person's devices and network could do, for whoever is told its code.
CREATE TABLE device_checks (
    code TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    checked_at INTEGER NOT NULL,
    report TEXT NOT NULL
);
CREATE INDEX device_checks_of ON device_checks (user_id, checked_at);
