-- A mailbox that moved to another subscriber stays, without its place in the index, for as long as certificates name
-- it. SQLite cannot drop a UNIQUE of a column, so the table is made again; the references to it hold by name.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE mailboxes_kept AS
  SELECT id, subscriber, address_sealed, address_index, account_type, verified_at, created_at FROM mailboxes;
DROP TABLE mailboxes;
CREATE TABLE mailboxes (
  id TEXT PRIMARY KEY,
  subscriber TEXT NOT NULL REFERENCES subscribers (id),
  address_sealed BLOB NOT NULL,
  address_index BLOB NOT NULL,
  account_type TEXT NOT NULL CHECK (account_type IN ('imap', 'exchange')),
  verified_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  end_reason TEXT CHECK (end_reason IN ('moved', 'removed')),
  -- When the consequences of the end were drawn: certificates revoked, devices without a mailbox ended.
  settled_at INTEGER,
  CONSTRAINT mailboxes_reason_of_ended CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
  CONSTRAINT mailboxes_settled_of_ended CHECK (settled_at IS NULL OR ended_at IS NOT NULL)
) STRICT;
INSERT INTO mailboxes (id, subscriber, address_sealed, address_index, account_type, verified_at, created_at)
  SELECT id, subscriber, address_sealed, address_index, account_type, verified_at, created_at FROM mailboxes_kept;
DROP TABLE mailboxes_kept;
CREATE UNIQUE INDEX mailboxes_active ON mailboxes (address_index) WHERE ended_at IS NULL;
CREATE INDEX mailboxes_by_subscriber ON mailboxes (subscriber, created_at, id);
CREATE INDEX mailboxes_unsettled ON mailboxes (ended_at) WHERE ended_at IS NOT NULL AND settled_at IS NULL;

-- Who may join the subscriber of a mailbox: a device of that subscriber said so.
ALTER TABLE registrations ADD COLUMN approved_by TEXT;
ALTER TABLE registrations ADD COLUMN approved_for TEXT;
CREATE INDEX registrations_confirmed ON registrations (address_index, expires_at) WHERE state = 'confirmed';

-- To the day; a credential that nobody uses for 180 days has expired.
ALTER TABLE devices ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
UPDATE devices SET seen_at = COALESCE(credential_used_at, created_at);
ALTER TABLE devices ADD COLUMN next_credential_sha256 BLOB;
ALTER TABLE devices ADD COLUMN ended_at INTEGER;
-- When the consequences of the end were drawn.
ALTER TABLE devices ADD COLUMN settled_at INTEGER;
CREATE UNIQUE INDEX devices_by_next_credential ON devices (next_credential_sha256)
  WHERE next_credential_sha256 IS NOT NULL;
CREATE INDEX devices_unsettled ON devices (ended_at) WHERE ended_at IS NOT NULL AND settled_at IS NULL;

-- Challenges to a mailbox of a subscriber: to add it, to prove it again, or for a request that waits for a proof.
CREATE TABLE mailbox_challenges (
  id TEXT PRIMARY KEY,
  purpose TEXT NOT NULL CHECK (purpose IN ('add', 'prove')),
  -- The mailbox, or the id that it will have.
  mailbox TEXT NOT NULL,
  subscriber TEXT NOT NULL REFERENCES subscribers (id),
  device TEXT NOT NULL REFERENCES devices (id),
  address_sealed BLOB NOT NULL,
  address_index BLOB NOT NULL,
  account_type TEXT NOT NULL CHECK (account_type IN ('imap', 'exchange')),
  token_sha256 BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'used', 'ended')),
  wrong_tries INTEGER NOT NULL CHECK (wrong_tries BETWEEN 0 AND 5),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX mailbox_challenges_by_mailbox ON mailbox_challenges (mailbox, created_at);
CREATE INDEX mailbox_challenges_by_subscriber ON mailbox_challenges (subscriber);
CREATE INDEX mailbox_challenges_by_device ON mailbox_challenges (device);
CREATE INDEX mailbox_challenges_expiring ON mailbox_challenges (expires_at);

CREATE INDEX certificates_by_device ON certificates (device);
CREATE INDEX certificate_requests_awaiting_proof ON certificate_requests (created_at)
  WHERE state = 'awaiting_mailbox_proof';

-- How often something was begun without a credential from one truncated network in one hour.
CREATE TABLE network_budgets (
  network_index BLOB NOT NULL,
  purpose TEXT NOT NULL CHECK (purpose IN ('registration', 'key_report')),
  hour INTEGER NOT NULL,
  used INTEGER NOT NULL CHECK (used > 0),
  PRIMARY KEY (network_index, purpose, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX network_budgets_by_hour ON network_budgets (hour);
