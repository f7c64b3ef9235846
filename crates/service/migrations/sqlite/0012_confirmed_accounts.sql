-- When the practice made sure whose an account is: it made it, or looked. An address that somebody only typed proves nothing.
ALTER TABLE users ADD COLUMN confirmed_at INTEGER;
UPDATE users SET confirmed_at = created_at;
