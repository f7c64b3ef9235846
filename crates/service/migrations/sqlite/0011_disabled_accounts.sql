-- Somebody who has left: their account stays, with what they did, and nobody signs in with it.
ALTER TABLE users ADD COLUMN disabled_at INTEGER;
