-- The file of sessions beside an embedded database: it has a write lock of its own, so that no login waits for a change of records.
-- Refresh tokens, and the attempts that were counted against an address, an account or a source. They are looked up before the
-- organization is known.
CREATE TABLE refresh_tokens (
  hash BLOB PRIMARY KEY, tenant_id BLOB NOT NULL, user_id BLOB NOT NULL, family BLOB NOT NULL, epoch INTEGER NOT NULL,
  expires_at INTEGER NOT NULL, used_at INTEGER);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);
CREATE TABLE login_attempts (subject BLOB PRIMARY KEY, failures INTEGER NOT NULL, last_at INTEGER NOT NULL);
CREATE INDEX login_attempts_by_time ON login_attempts (last_at);
