-- Which refresh token a login token was given for. What came of showing a used token again is
-- read from this and not from times: two uses may fall into one millisecond.
ALTER TABLE tokens ADD COLUMN follows BLOB;
CREATE INDEX tokens_follows ON tokens (follows);
