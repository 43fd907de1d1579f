CREATE TABLE batch_guard (broken TEXT NOT NULL) STRICT;
CREATE TRIGGER batch_guard_breaks BEFORE INSERT ON batch_guard
BEGIN
  SELECT RAISE(ABORT, 'guard:' || NEW.broken);
END;

CREATE TABLE key_ring (
  id TEXT PRIMARY KEY,
  wrapped BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
