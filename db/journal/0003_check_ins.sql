-- The latest report of each device, overwritten: no history.
CREATE TABLE check_ins (
  device TEXT PRIMARY KEY,
  subscriber TEXT NOT NULL,
  -- To the hour.
  seen_at INTEGER NOT NULL CHECK (seen_at % 3600000 = 0),
  facts_sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX check_ins_by_age ON check_ins (seen_at);
