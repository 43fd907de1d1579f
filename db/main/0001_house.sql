-- A guard is an INSERT ... SELECT that selects nothing where its condition holds; any row breaks the batch.
CREATE TABLE batch_guard (broken TEXT NOT NULL) STRICT;
CREATE TRIGGER batch_guard_breaks BEFORE INSERT ON batch_guard
BEGIN
  SELECT RAISE(ABORT, 'guard:' || NEW.broken);
END;

-- audit
CREATE TABLE audit_entries (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  action TEXT NOT NULL,
  actor_kind TEXT NOT NULL CHECK (actor_kind IN ('device', 'anyone', 'service', 'administrator')),
  actor TEXT,
  subject_kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  facts TEXT NOT NULL CHECK (json_valid(facts)),
  commitments TEXT NOT NULL CHECK (json_valid(commitments))
) STRICT;
CREATE TRIGGER audit_entries_not_changed BEFORE UPDATE ON audit_entries
BEGIN
  SELECT RAISE(ABORT, 'refused:audit_entries_append_only');
END;
CREATE TRIGGER audit_entries_not_deleted BEFORE DELETE ON audit_entries
BEGIN
  SELECT RAISE(ABORT, 'refused:audit_entries_append_only');
END;

CREATE TABLE audit_private (
  entry TEXT NOT NULL,
  field TEXT NOT NULL,
  salt BLOB NOT NULL,
  value_sealed BLOB NOT NULL,
  PRIMARY KEY (entry, field)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_seals (
  number INTEGER PRIMARY KEY,
  predecessor TEXT NOT NULL UNIQUE,
  first_position INTEGER NOT NULL,
  last_position INTEGER NOT NULL CHECK (last_position >= first_position),
  hash TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER audit_seals_not_changed BEFORE UPDATE ON audit_seals
BEGIN
  SELECT RAISE(ABORT, 'refused:audit_seals_append_only');
END;
CREATE TRIGGER audit_seals_not_deleted BEFORE DELETE ON audit_seals
BEGIN
  SELECT RAISE(ABORT, 'refused:audit_seals_append_only');
END;

-- mail
CREATE TABLE outgoing_mail (
  id TEXT PRIMARY KEY,
  dedupe_key TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (
    kind IN ('challenge', 'new_device', 'new_certificate', 'new_publication', 'running_out', 'policy_change',
             'mailbox_moved', 'end_of_contract', 'revocation')
  ),
  recipient_index BLOB NOT NULL,
  content_sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'given_up')),
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  next_attempt_at INTEGER NOT NULL,
  finished_at INTEGER,
  last_failure TEXT
) STRICT;
CREATE INDEX outgoing_mail_due ON outgoing_mail (next_attempt_at) WHERE state = 'queued';
CREATE INDEX outgoing_mail_by_recipient ON outgoing_mail (recipient_index, kind, created_at);
CREATE INDEX outgoing_mail_finished ON outgoing_mail (finished_at) WHERE state <> 'queued';

-- consent
CREATE TABLE consent_records (
  id TEXT PRIMARY KEY,
  subscriber TEXT NOT NULL,
  purpose TEXT NOT NULL CHECK (purpose IN ('terms', 'publication', 'crashReports')),
  act TEXT NOT NULL CHECK (act IN ('acknowledged', 'given', 'withdrawn')),
  subject TEXT NOT NULL,
  text_version TEXT NOT NULL,
  text_sha256 TEXT NOT NULL,
  language TEXT NOT NULL,
  audience TEXT CHECK (audience IN ('members', 'public')),
  at INTEGER NOT NULL,
  device TEXT
) STRICT;
CREATE INDEX consent_records_by_subscriber ON consent_records (subscriber, purpose, at);

-- registration
CREATE TABLE registrations (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'completed', 'ended')),
  address_sealed BLOB NOT NULL,
  address_index BLOB NOT NULL,
  account_type TEXT NOT NULL CHECK (account_type IN ('imap', 'exchange')),
  policy_version TEXT NOT NULL,
  device_sealed BLOB NOT NULL,
  device_secret_sha256 BLOB NOT NULL,
  token_sha256 BLOB NOT NULL,
  user_code_sealed BLOB NOT NULL,
  wrong_tries INTEGER NOT NULL CHECK (wrong_tries BETWEEN 0 AND 5),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  confirmed_at INTEGER,
  device TEXT
) STRICT;
CREATE INDEX registrations_expiring ON registrations (expires_at);

CREATE TABLE subscribers (
  id TEXT PRIMARY KEY,
  language TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  restricted_at INTEGER
) STRICT;

CREATE TABLE mailboxes (
  id TEXT PRIMARY KEY,
  subscriber TEXT NOT NULL REFERENCES subscribers (id),
  address_sealed BLOB NOT NULL,
  address_index BLOB NOT NULL UNIQUE,
  account_type TEXT NOT NULL CHECK (account_type IN ('imap', 'exchange')),
  verified_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX mailboxes_by_subscriber ON mailboxes (subscriber);

CREATE TABLE devices (
  id TEXT PRIMARY KEY,
  subscriber TEXT NOT NULL REFERENCES subscribers (id),
  registration TEXT NOT NULL UNIQUE,
  credential_sha256 BLOB NOT NULL UNIQUE,
  credential_used_at INTEGER,
  facts_sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX devices_by_subscriber ON devices (subscriber);

-- enrolment
CREATE TABLE certificate_authorities (
  id TEXT PRIMARY KEY,
  role TEXT NOT NULL CHECK (role IN ('root', 'issuing')),
  slot TEXT NOT NULL UNIQUE,
  issuer TEXT NOT NULL REFERENCES certificate_authorities (id),
  key_kind TEXT NOT NULL CHECK (key_kind IN ('p256', 'p384', 'rsa3072')),
  certificate BLOB NOT NULL,
  private_key_sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX certificate_authorities_by_issuer ON certificate_authorities (issuer);

CREATE TABLE certificate_requests (
  id TEXT PRIMARY KEY,
  subscriber TEXT NOT NULL REFERENCES subscribers (id),
  device TEXT NOT NULL REFERENCES devices (id),
  mailbox TEXT NOT NULL REFERENCES mailboxes (id),
  usage TEXT NOT NULL CHECK (usage IN ('sign', 'encrypt', 'dual')),
  spki_sha256 TEXT NOT NULL,
  csr_sealed BLOB NOT NULL,
  state TEXT NOT NULL CHECK (
    state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval', 'submitting', 'pending', 'outcome_unknown',
              'issued', 'rejected', 'failed', 'cancelled', 'ended')
  ),
  reason TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
-- One key, device, mailbox and use: one request that is open or whose certificate is valid.
CREATE UNIQUE INDEX certificate_requests_live ON certificate_requests (spki_sha256, device, mailbox, usage)
  WHERE state NOT IN ('rejected', 'failed', 'cancelled', 'ended');
CREATE INDEX certificate_requests_by_key ON certificate_requests (spki_sha256);
CREATE INDEX certificate_requests_by_subscriber ON certificate_requests (subscriber, created_at, id);
CREATE INDEX certificate_requests_by_device ON certificate_requests (device);
CREATE INDEX certificate_requests_by_mailbox ON certificate_requests (mailbox);
CREATE INDEX certificate_requests_submitting ON certificate_requests (updated_at) WHERE state = 'submitting';

CREATE TABLE certificates (
  id TEXT PRIMARY KEY,
  request TEXT NOT NULL UNIQUE REFERENCES certificate_requests (id),
  subscriber TEXT NOT NULL REFERENCES subscribers (id),
  device TEXT NOT NULL REFERENCES devices (id),
  mailbox TEXT NOT NULL REFERENCES mailboxes (id),
  usage TEXT NOT NULL CHECK (usage IN ('sign', 'encrypt', 'dual')),
  state TEXT NOT NULL CHECK (state IN ('valid', 'superseded', 'revoked', 'expired')),
  authority TEXT NOT NULL REFERENCES certificate_authorities (id),
  serial_number TEXT NOT NULL,
  spki_sha256 TEXT NOT NULL,
  facts_sealed BLOB NOT NULL,
  certificate_sealed BLOB NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (authority, serial_number)
) STRICT;
CREATE INDEX certificates_by_subscriber ON certificates (subscriber, created_at, id);
-- A device has one valid certificate per mailbox and use: the next one supersedes it.
CREATE UNIQUE INDEX certificates_live ON certificates (device, mailbox, usage) WHERE state = 'valid';
CREATE INDEX certificates_by_mailbox ON certificates (mailbox);
CREATE INDEX certificates_by_key ON certificates (spki_sha256);
CREATE INDEX certificates_running_out ON certificates (not_after) WHERE state = 'valid';

-- directory
CREATE TABLE publications (
  certificate TEXT PRIMARY KEY REFERENCES certificates (id),
  address_index BLOB NOT NULL,
  audience TEXT NOT NULL CHECK (audience IN ('members', 'public')),
  consent TEXT NOT NULL REFERENCES consent_records (id),
  published_at INTEGER NOT NULL
) STRICT;
CREATE INDEX publications_by_address ON publications (address_index);
CREATE INDEX publications_by_consent ON publications (consent);
