-- What a CA must be able to say of a serial number that it has issued. Kept beside the certificate, so that it
-- outlives an erasure until one CRL after the expiry.
CREATE TABLE certificate_statuses (
  authority TEXT NOT NULL REFERENCES certificate_authorities (id),
  serial_number TEXT NOT NULL,
  not_after INTEGER NOT NULL,
  revoked_at INTEGER,
  reason TEXT CHECK (
    reason IN ('keyCompromise', 'affiliationChanged', 'superseded', 'cessationOfOperation', 'privilegeWithdrawn')
  ),
  listed_in INTEGER,
  PRIMARY KEY (authority, serial_number),
  CONSTRAINT certificate_statuses_reason_of_revoked CHECK (reason IS NULL OR revoked_at IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX certificate_statuses_revoked ON certificate_statuses (authority, not_after) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificate_statuses_unlisted ON certificate_statuses (authority)
  WHERE revoked_at IS NOT NULL AND listed_in IS NULL;
INSERT INTO certificate_statuses (authority, serial_number, not_after)
  SELECT authority, serial_number, not_after FROM certificates;

CREATE TABLE certificate_revocation_lists (
  authority TEXT PRIMARY KEY REFERENCES certificate_authorities (id),
  number INTEGER NOT NULL,
  this_update INTEGER NOT NULL,
  next_update INTEGER NOT NULL,
  list BLOB NOT NULL
) STRICT;

-- Keys that no certificate may be issued for: by SHA-256 of the SPKI, or as Debian lists its weak RSA moduli.
CREATE TABLE blocked_keys (
  kind TEXT NOT NULL CHECK (kind IN ('spki-sha256', 'debian-modulus')),
  fingerprint TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('reported', 'disclosed', 'revocation', 'imported')),
  added_at INTEGER NOT NULL,
  PRIMARY KEY (kind, fingerprint)
) STRICT, WITHOUT ROWID;

-- Challenges to the holder of a bare public key: to have it certified, or to report it compromised.
CREATE TABLE key_challenges (
  id TEXT PRIMARY KEY,
  purpose TEXT NOT NULL CHECK (purpose IN ('possession', 'compromise')),
  subscriber TEXT,
  device TEXT,
  mailbox TEXT,
  usage TEXT CHECK (usage IN ('sign', 'encrypt', 'dual')),
  method TEXT NOT NULL CHECK (method IN ('sign', 'decrypt')),
  spki BLOB NOT NULL,
  expected_sha256 BLOB,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT;
CREATE INDEX key_challenges_expiring ON key_challenges (expires_at);

ALTER TABLE certificate_requests ADD COLUMN proved_by TEXT NOT NULL DEFAULT 'csr'
  CHECK (proved_by IN ('csr', 'public_key'));
ALTER TABLE certificates ADD COLUMN revoked_at INTEGER;
