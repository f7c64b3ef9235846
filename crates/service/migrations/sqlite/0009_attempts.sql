-- The client's secret for the use of a refresh token (its SHA-256), by which it may ask again when the answer was lost.
ALTER TABLE tokens ADD COLUMN attempt BLOB;
