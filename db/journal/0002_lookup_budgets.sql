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
