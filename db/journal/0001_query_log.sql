CREATE TABLE batch_guard (broken TEXT NOT NULL) STRICT;
CREATE TRIGGER batch_guard_breaks BEFORE INSERT ON batch_guard
BEGIN
  SELECT RAISE(ABORT, 'guard:' || NEW.broken);
END;

-- Lookups of the last minute or so: no index, so that a row costs as little as a row can.
CREATE TABLE query_log_recent (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  asker TEXT NOT NULL,
  device TEXT,
  interface TEXT NOT NULL CHECK (interface IN ('http')),
  status TEXT NOT NULL CHECK (status IN ('found', 'not_found')),
  address_sealed BLOB NOT NULL
) STRICT;

-- Everything older, by asker.
CREATE TABLE query_log (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  asker TEXT NOT NULL,
  device TEXT,
  interface TEXT NOT NULL CHECK (interface IN ('http')),
  status TEXT NOT NULL CHECK (status IN ('found', 'not_found')),
  address_sealed BLOB NOT NULL
) STRICT;
CREATE INDEX query_log_by_asker ON query_log (asker, id);
