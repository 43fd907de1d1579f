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
  -- A keyed hash of the address, and the number of who paid for it on that day: what the budgets are counted from.
  address_key BLOB NOT NULL,
  payer INTEGER,
  address_sealed BLOB NOT NULL
) STRICT;

-- Everything older, by asker. A digest of each day stands over salted commitments of its rows. A row that was blanked has
-- lost who asked for what, with its salt, and keeps the commitment.
CREATE TABLE query_log (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  asker TEXT,
  device TEXT,
  interface TEXT NOT NULL CHECK (interface IN ('http')),
  status TEXT NOT NULL CHECK (status IN ('found', 'not_found')),
  address_key BLOB,
  payer INTEGER,
  address_sealed BLOB,
  salt BLOB,
  commitment BLOB CHECK ((commitment IS NULL) = (salt IS NOT NULL)),
  CHECK (commitment IS NULL OR COALESCE(asker, device, address_key, payer, address_sealed) IS NULL),
  CHECK (commitment IS NOT NULL OR (asker IS NOT NULL AND address_key IS NOT NULL AND address_sealed IS NOT NULL))
) STRICT;
CREATE INDEX query_log_by_asker ON query_log (asker, id);

-- Who pays for lookups on one UTC day: a keyed hash of the day and each scope, one after the other.
CREATE TABLE lookup_payers (
  day INTEGER NOT NULL,
  number INTEGER NOT NULL,
  scopes BLOB NOT NULL,
  PRIMARY KEY (day, number)
) STRICT, WITHOUT ROWID;

-- The budgets where no process can remember them, which is on D1.
-- How many distinct addresses were asked for on one UTC day, by one subscriber, one domain or one network: a keyed hash
-- of whom and the day, so that no two days of the same can be told to be the same.
CREATE TABLE lookup_budgets (
  day INTEGER NOT NULL,
  scope BLOB NOT NULL,
  used INTEGER NOT NULL CHECK (used >= 0),
  PRIMARY KEY (day, scope)
) STRICT, WITHOUT ROWID;

-- Which ones: one keyed hash of whom, the day and the address together. It tells neither whose it is nor what was asked.
CREATE TABLE lookup_budget_addresses (
  day INTEGER NOT NULL,
  address_key BLOB NOT NULL,
  PRIMARY KEY (day, address_key)
) STRICT, WITHOUT ROWID;

-- The latest report of each device, overwritten: no history.
CREATE TABLE check_ins (
  device TEXT PRIMARY KEY,
  subscriber TEXT NOT NULL,
  -- To the hour.
  seen_at INTEGER NOT NULL CHECK (seen_at % 3600000 = 0),
  -- A keyed hash of the device and the facts.
  facts_key BLOB NOT NULL,
  facts_sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX check_ins_by_age ON check_ins (seen_at);
