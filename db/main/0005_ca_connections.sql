-- CAs that others run have no key here. SQLite cannot change a CHECK, so the table is made again; the references to it
-- hold by name.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE certificate_authorities_kept AS
  SELECT id, role, slot, issuer, key_kind, certificate, private_key_sealed, created_at FROM certificate_authorities;
DROP TABLE certificate_authorities;
CREATE TABLE certificate_authorities (
  id TEXT PRIMARY KEY,
  role TEXT NOT NULL CHECK (role IN ('root', 'issuing', 'connected')),
  slot TEXT NOT NULL UNIQUE,
  issuer TEXT NOT NULL REFERENCES certificate_authorities (id),
  key_kind TEXT CHECK (key_kind IN ('p256', 'p384', 'rsa3072')),
  certificate BLOB NOT NULL,
  private_key_sealed BLOB,
  created_at INTEGER NOT NULL,
  -- Of connected ones: SHA-256 of name and key. A CA whose certificate was made anew goes on counting its serial numbers.
  identity TEXT,
  CONSTRAINT certificate_authorities_identity_of_connected CHECK ((role = 'connected') = (identity IS NOT NULL)),
  CONSTRAINT certificate_authorities_key_of_own CHECK (
    (role = 'connected') = (private_key_sealed IS NULL) AND (role = 'connected') = (key_kind IS NULL)
  )
) STRICT;
INSERT INTO certificate_authorities (id, role, slot, issuer, key_kind, certificate, private_key_sealed, created_at)
  SELECT id, role, slot, issuer, key_kind, certificate, private_key_sealed, created_at
  FROM certificate_authorities_kept;
DROP TABLE certificate_authorities_kept;
CREATE INDEX certificate_authorities_by_issuer ON certificate_authorities (issuer);
CREATE INDEX certificate_authorities_by_identity ON certificate_authorities (identity) WHERE identity IS NOT NULL;

CREATE TABLE ca_connections (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('embedded', 'cfssl', 'step-ca', 'est', 'ejbca', 'manual')),
  name TEXT NOT NULL,
  -- Who runs the CA, and in which country: a recipient of personal data.
  recipient TEXT NOT NULL,
  country TEXT,
  state TEXT NOT NULL CHECK (state IN ('active', 'paused', 'removed')),
  settings TEXT NOT NULL CHECK (json_valid(settings)),
  credentials_sealed BLOB,
  -- Grows with every change of name, state, settings or credentials.
  version INTEGER NOT NULL CHECK (version > 0),
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  -- The circuit: failures in a row, and until when nothing is sent; NULL where it is closed.
  failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
  open_until INTEGER,
  last_failure TEXT,
  last_failure_at INTEGER,
  last_success_at INTEGER
) STRICT;
CREATE UNIQUE INDEX ca_connections_names ON ca_connections (name) WHERE state <> 'removed';
INSERT INTO ca_connections (id, kind, name, recipient, state, settings, version, created_at, created_by, changed_at)
  VALUES ('embedded', 'embedded', 'embedded', '', 'active', '{}', 1, 0, 'service', 0);

-- The first rule, by position, that fits a request says where it goes; NULL in a condition fits everything.
CREATE TABLE routing_rules (
  id TEXT PRIMARY KEY,
  position INTEGER NOT NULL UNIQUE CHECK (position > 0),
  domain TEXT,
  account_type TEXT CHECK (account_type IN ('imap', 'exchange')),
  usage TEXT CHECK (usage IN ('sign', 'encrypt', 'dual')),
  algorithm TEXT CHECK (algorithm IN ('rsa', 'ec', 'ed25519', 'x25519')),
  -- NULL: what the rule catches is refused.
  connection TEXT REFERENCES ca_connections (id),
  ca_profile TEXT,
  approvals INTEGER NOT NULL CHECK (approvals BETWEEN 0 AND 2),
  -- Who wrote it as it is now.
  author TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX routing_rules_by_connection ON routing_rules (connection);

-- The way of a request through a CA.
ALTER TABLE certificate_requests ADD COLUMN connection TEXT NOT NULL DEFAULT 'embedded';
ALTER TABLE certificate_requests ADD COLUMN ca_profile TEXT;
ALTER TABLE certificate_requests ADD COLUMN rule TEXT;
ALTER TABLE certificate_requests ADD COLUMN rule_author TEXT;
ALTER TABLE certificate_requests ADD COLUMN approvals_needed INTEGER NOT NULL DEFAULT 0
  CHECK (approvals_needed BETWEEN 0 AND 2);
-- When the request is to be looked at again: sent, polled, probed, or taken from a worker that is gone. NULL: only when
-- somebody acts.
ALTER TABLE certificate_requests ADD COLUMN due_at INTEGER;
-- The worker that has it, while it is `submitting`.
ALTER TABLE certificate_requests ADD COLUMN claim TEXT;
ALTER TABLE certificate_requests ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0);
-- When a CA was first handed it.
ALTER TABLE certificate_requests ADD COLUMN submitted_at INTEGER;
-- 1 while the CA may issue, or have issued, a certificate for it that is not kept here.
ALTER TABLE certificate_requests ADD COLUMN open_at_ca INTEGER NOT NULL DEFAULT 0 CHECK (open_at_ca IN (0, 1));
ALTER TABLE certificate_requests ADD COLUMN waits_for TEXT CHECK (waits_for IN ('ca_mailbox_challenge'));
ALTER TABLE certificate_requests ADD COLUMN last_failure TEXT;
-- What the CA calls it, what the CA said last, what an approver said, and a certificate that was not kept.
ALTER TABLE certificate_requests ADD COLUMN ca_state_sealed BLOB;
ALTER TABLE certificate_requests ADD COLUMN ca_said_sealed BLOB;
ALTER TABLE certificate_requests ADD COLUMN explanation_sealed BLOB;
ALTER TABLE certificate_requests ADD COLUMN returned_sealed BLOB;
DROP INDEX certificate_requests_submitting;
-- A submission that was under way when the schema changed is looked at like one whose worker is gone.
UPDATE certificate_requests SET due_at = updated_at + 60000, claim = 'before' WHERE state = 'submitting';
UPDATE certificate_requests SET submitted_at = created_at WHERE state IN ('submitting', 'issued', 'ended');
-- A request can come to wait for a proof of its mailbox long after it was made.
DROP INDEX certificate_requests_awaiting_proof;
CREATE INDEX certificate_requests_awaiting_proof ON certificate_requests (updated_at)
  WHERE state = 'awaiting_mailbox_proof';
CREATE INDEX certificate_requests_queue ON certificate_requests (connection, created_at, id) WHERE state = 'received';
CREATE INDEX certificate_requests_due ON certificate_requests (state, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX certificate_requests_open_at_ca ON certificate_requests (connection, state) WHERE open_at_ca = 1;

-- Who has said yes or no to a request.
CREATE TABLE request_approvals (
  request TEXT NOT NULL REFERENCES certificate_requests (id),
  administrator TEXT NOT NULL,
  decision TEXT NOT NULL CHECK (decision IN ('approved', 'rejected')),
  at INTEGER NOT NULL,
  PRIMARY KEY (request, administrator)
) STRICT, WITHOUT ROWID;

-- Revocations that the CA of a certificate has to be told of.
CREATE TABLE ca_revocations (
  id TEXT PRIMARY KEY,
  connection TEXT NOT NULL REFERENCES ca_connections (id),
  request TEXT NOT NULL REFERENCES certificate_requests (id),
  certificate_sha256 TEXT NOT NULL UNIQUE,
  certificate_sealed BLOB NOT NULL,
  reason TEXT CHECK (
    reason IN ('keyCompromise', 'affiliationChanged', 'superseded', 'cessationOfOperation', 'privilegeWithdrawn')
  ),
  -- `by_hand`: the CA cannot be told by a call; an operator does it and says so.
  state TEXT NOT NULL CHECK (state IN ('waiting', 'by_hand', 'confirmed')),
  attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  due_at INTEGER NOT NULL,
  requested_at INTEGER NOT NULL,
  confirmed_at INTEGER,
  last_failure TEXT,
  CONSTRAINT ca_revocations_time_of_confirmed CHECK ((state = 'confirmed') = (confirmed_at IS NOT NULL))
) STRICT;
CREATE INDEX ca_revocations_due ON ca_revocations (due_at) WHERE state = 'waiting';
CREATE INDEX ca_revocations_open ON ca_revocations (connection, requested_at, id) WHERE state <> 'confirmed';
CREATE INDEX ca_revocations_by_age ON ca_revocations (requested_at, id);
CREATE INDEX ca_revocations_by_request ON ca_revocations (request);

-- Where the revocation lists of connected CAs stand.
CREATE TABLE fetched_revocation_lists (
  connection TEXT NOT NULL REFERENCES ca_connections (id),
  url TEXT NOT NULL,
  this_update INTEGER,
  next_update INTEGER,
  -- SHA-256 of the list that was applied last.
  list_sha256 TEXT,
  applied_at INTEGER,
  due_at INTEGER NOT NULL,
  failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
  last_failure TEXT,
  PRIMARY KEY (connection, url)
) STRICT, WITHOUT ROWID;
CREATE INDEX fetched_revocation_lists_due ON fetched_revocation_lists (due_at);

-- When the holder is told next that a certificate runs out; NULL once that has been said twice, or where it has ended.
ALTER TABLE certificates ADD COLUMN remind_at INTEGER;
UPDATE certificates SET remind_at = not_after - min((not_after - not_before) / 3, 2592000000) WHERE state = 'valid';
CREATE INDEX certificates_to_remind ON certificates (remind_at) WHERE remind_at IS NOT NULL AND state = 'valid';
