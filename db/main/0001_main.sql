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
  commitments TEXT NOT NULL CHECK (json_valid(commitments)),
  -- Over all columns but the position, so that nobody without the key can add an entry for the sealer to seal.
  mac BLOB NOT NULL
) STRICT;
-- What administrators read the audit log by.
CREATE INDEX audit_entries_by_time ON audit_entries (at);
CREATE INDEX audit_entries_by_subject ON audit_entries (subject, at);
CREATE INDEX audit_entries_by_actor ON audit_entries (actor, at) WHERE actor IS NOT NULL;
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
  -- In clear, it would tell who guesses a value whether the entry is about it.
  salt_sealed BLOB NOT NULL,
  value_sealed BLOB NOT NULL,
  PRIMARY KEY (entry, field)
) STRICT, WITHOUT ROWID;

-- What stays of a private value that was erased. Without it, a value that is missing is a fault.
CREATE TABLE audit_erasures (
  entry TEXT NOT NULL,
  field TEXT NOT NULL,
  why TEXT NOT NULL,
  at INTEGER NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (entry, field)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_private_not_deleted BEFORE DELETE ON audit_private
WHEN NOT EXISTS (SELECT 1 FROM audit_erasures e WHERE e.entry = OLD.entry AND e.field = OLD.field)
BEGIN
  SELECT RAISE(ABORT, 'refused:audit_private_leaves_an_erasure');
END;
CREATE TRIGGER audit_erasures_not_changed BEFORE UPDATE ON audit_erasures
BEGIN
  SELECT RAISE(ABORT, 'refused:audit_erasures_append_only');
END;
CREATE TRIGGER audit_erasures_not_deleted BEFORE DELETE ON audit_erasures
BEGIN
  SELECT RAISE(ABORT, 'refused:audit_erasures_append_only');
END;

CREATE TABLE audit_seals (
  number INTEGER PRIMARY KEY,
  predecessor TEXT NOT NULL UNIQUE,
  first_position INTEGER NOT NULL,
  last_position INTEGER NOT NULL CHECK (last_position >= first_position),
  hash TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  mac BLOB NOT NULL
) STRICT;
-- How long the chain is. It is one row, written with each seal, so that a chain that was cut is too short for it.
CREATE TABLE audit_head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  seals INTEGER NOT NULL,
  last_position INTEGER NOT NULL,
  hash TEXT NOT NULL,
  mac BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_head_not_deleted BEFORE DELETE ON audit_head
BEGIN
  SELECT RAISE(ABORT, 'refused:audit_head_stays');
END;
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
  -- Who caused a challenge.
  asker_index BLOB,
  content_sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'given_up')),
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  next_attempt_at INTEGER NOT NULL,
  claimed_at INTEGER,
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
  device_secret_verifier BLOB NOT NULL,
  token_verifier BLOB NOT NULL,
  -- Until a mail that has it is queued.
  token_sealed BLOB,
  -- From which network it was begun.
  network_index BLOB NOT NULL,
  user_code_sealed BLOB NOT NULL,
  wrong_tries INTEGER NOT NULL CHECK (wrong_tries BETWEEN 0 AND 5),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  confirmed_at INTEGER,
  device TEXT,
  -- Who may join the subscriber of a mailbox: a device of that subscriber said so.
  approved_by TEXT,
  approved_for TEXT,
  -- Over what it is good for, and for whom. src/ports/authority.ts
  authority_mac BLOB NOT NULL
) STRICT;
CREATE INDEX registrations_approved ON registrations (approved_by) WHERE approved_by IS NOT NULL;
CREATE INDEX registrations_expiring ON registrations (expires_at);
CREATE INDEX registrations_without_mail ON registrations (address_index, created_at) WHERE token_sealed IS NOT NULL;
CREATE INDEX registrations_confirmed ON registrations (address_index, expires_at) WHERE state = 'confirmed';

CREATE TABLE subscribers (
  id TEXT PRIMARY KEY,
  language TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  restricted_at INTEGER,
  -- Over restricted_at. src/ports/authority.ts
  authority_mac BLOB NOT NULL
) STRICT;

-- A mailbox that moved to another subscriber stays, without its place in the index, for as long as certificates name
-- it.
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
  -- Over whose it is. src/ports/authority.ts
  authority_mac BLOB NOT NULL,
  CONSTRAINT mailboxes_reason_of_ended CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
  CONSTRAINT mailboxes_settled_of_ended CHECK (settled_at IS NULL OR ended_at IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX mailboxes_active ON mailboxes (address_index) WHERE ended_at IS NULL;
CREATE INDEX mailboxes_by_subscriber ON mailboxes (subscriber, created_at, id);
CREATE INDEX mailboxes_unsettled ON mailboxes (ended_at) WHERE ended_at IS NOT NULL AND settled_at IS NULL;

CREATE TABLE devices (
  id TEXT PRIMARY KEY,
  subscriber TEXT NOT NULL REFERENCES subscribers (id),
  registration TEXT NOT NULL UNIQUE,
  credential_verifier BLOB NOT NULL UNIQUE,
  credential_used_at INTEGER,
  -- The credential of a rotation: it takes the place of the other with its first use.
  next_credential_verifier BLOB,
  facts_sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  -- To the day; a credential that nobody uses for 180 days has expired.
  seen_at INTEGER NOT NULL,
  ended_at INTEGER,
  -- A MAC over seen_at, and one over all other columns that let the device in or keep it out. src/ports/authority.ts
  seen_mac BLOB NOT NULL,
  authority_mac BLOB NOT NULL,
  -- When the consequences of the end were drawn.
  settled_at INTEGER
) STRICT;
CREATE INDEX devices_by_subscriber ON devices (subscriber);
CREATE UNIQUE INDEX devices_by_next_credential ON devices (next_credential_verifier)
  WHERE next_credential_verifier IS NOT NULL;
CREATE INDEX devices_unsettled ON devices (ended_at) WHERE ended_at IS NOT NULL AND settled_at IS NULL;

-- Whose rows changed, of those that recognise a caller: a process forgets what it remembers of them. The last rows stay.
CREATE TABLE caller_changes (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  subscriber TEXT NOT NULL
) STRICT;
CREATE TRIGGER devices_changed
  AFTER UPDATE OF subscriber, credential_verifier, next_credential_verifier, credential_used_at, ended_at ON devices
BEGIN
  INSERT INTO caller_changes (subscriber) SELECT OLD.subscriber UNION SELECT NEW.subscriber;
END;
CREATE TRIGGER devices_deleted AFTER DELETE ON devices
BEGIN
  INSERT INTO caller_changes (subscriber) VALUES (OLD.subscriber);
END;
CREATE TRIGGER mailboxes_made AFTER INSERT ON mailboxes
BEGIN
  INSERT INTO caller_changes (subscriber) VALUES (NEW.subscriber);
END;
CREATE TRIGGER mailboxes_changed
  AFTER UPDATE OF subscriber, address_sealed, address_index, created_at, ended_at ON mailboxes
BEGIN
  INSERT INTO caller_changes (subscriber) SELECT OLD.subscriber UNION SELECT NEW.subscriber;
END;
CREATE TRIGGER mailboxes_deleted AFTER DELETE ON mailboxes
BEGIN
  INSERT INTO caller_changes (subscriber) VALUES (OLD.subscriber);
END;

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
  token_verifier BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'used', 'ended')),
  wrong_tries INTEGER NOT NULL CHECK (wrong_tries BETWEEN 0 AND 5),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- What the device wants to do with the proof, and until when it may do that: set by its answer, taken back by the act.
  act TEXT CHECK (act IN ('mailbox_add', 'mailbox_end', 'device_approve', 'device_end')),
  act_until INTEGER,
  -- When the mailbox had moved away, as the challenge was made. An older one does not bring it back.
  mailbox_ended_at INTEGER,
  -- Over all that a token, or the proof, is good for. src/ports/authority.ts
  authority_mac BLOB NOT NULL,
  CONSTRAINT mailbox_challenges_until_of_act CHECK (act_until IS NULL OR act IS NOT NULL)
) STRICT;
CREATE INDEX mailbox_challenges_by_mailbox ON mailbox_challenges (mailbox, created_at);
CREATE INDEX mailbox_challenges_by_subscriber ON mailbox_challenges (subscriber);
CREATE INDEX mailbox_challenges_by_device ON mailbox_challenges (device);
CREATE INDEX mailbox_challenges_expiring ON mailbox_challenges (expires_at);

-- How often something was begun without a credential in one hour, from one address or from a network around it.
CREATE TABLE network_budgets (
  network_index BLOB NOT NULL,
  purpose TEXT NOT NULL CHECK (purpose IN ('registration', 'key_report')),
  hour INTEGER NOT NULL,
  used INTEGER NOT NULL CHECK (used > 0),
  PRIMARY KEY (network_index, purpose, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX network_budgets_by_hour ON network_budgets (hour);

-- How much a subscriber has done in one UTC day that leaves a trace.
CREATE TABLE subscriber_budgets (
  subscriber TEXT NOT NULL,
  day INTEGER NOT NULL,
  used INTEGER NOT NULL CHECK (used > 0),
  PRIMARY KEY (subscriber, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriber_budgets_by_day ON subscriber_budgets (day);

-- cas
-- CAs that others run (`connected`) have no key here.
CREATE TABLE certificate_authorities (
  id TEXT PRIMARY KEY,
  role TEXT NOT NULL CHECK (role IN ('root', 'issuing', 'connected')),
  slot TEXT NOT NULL UNIQUE,
  issuer TEXT NOT NULL REFERENCES certificate_authorities (id),
  key_kind TEXT CHECK (key_kind IN ('p256', 'p384', 'rsa3072', 'rsa4096')),
  certificate BLOB NOT NULL,
  private_key_sealed BLOB,
  created_at INTEGER NOT NULL,
  -- Of connected ones: SHA-256 of name and key. A CA whose certificate was made anew goes on counting its serial numbers.
  identity TEXT,
  -- Over which CA it is, and who is above it.
  authority_mac BLOB NOT NULL,
  CONSTRAINT certificate_authorities_identity_of_connected CHECK ((role = 'connected') = (identity IS NOT NULL)),
  CONSTRAINT certificate_authorities_key_of_own CHECK (
    (role = 'connected') = (private_key_sealed IS NULL) AND (role = 'connected') = (key_kind IS NULL)
  )
) STRICT;
CREATE INDEX certificate_authorities_by_issuer ON certificate_authorities (issuer);
CREATE INDEX certificate_authorities_by_identity ON certificate_authorities (identity) WHERE identity IS NOT NULL;

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

CREATE TABLE certificate_revocation_lists (
  authority TEXT PRIMARY KEY REFERENCES certificate_authorities (id),
  number INTEGER NOT NULL,
  this_update INTEGER NOT NULL,
  next_update INTEGER NOT NULL,
  list BLOB NOT NULL
) STRICT;

CREATE TABLE ca_connections (
  id TEXT PRIMARY KEY,
  -- `embedded`, or a kind of src/api/ca-kinds/: the code holds it, so that a kind is added without a migration.
  kind TEXT NOT NULL,
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
  last_success_at INTEGER,
  -- Over which CA it is, its state and its credentials.
  authority_mac BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX ca_connections_names ON ca_connections (name) WHERE state <> 'removed';

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
-- A MAC over all rules in their order, so that one that is gone is noticed. It is made with the CA inside.
CREATE TABLE routing_rule_sets (
  id TEXT PRIMARY KEY CHECK (id = 'all'),
  authority_mac BLOB NOT NULL
) STRICT;
CREATE INDEX routing_rules_by_connection ON routing_rules (connection);

-- requests
CREATE TABLE certificate_requests (
  id TEXT PRIMARY KEY,
  subscriber TEXT NOT NULL REFERENCES subscribers (id),
  device TEXT NOT NULL REFERENCES devices (id),
  mailbox TEXT NOT NULL REFERENCES mailboxes (id),
  usage TEXT NOT NULL CHECK (usage IN ('sign', 'encrypt', 'dual')),
  key_index TEXT NOT NULL,
  proved_by TEXT NOT NULL CHECK (proved_by IN ('csr', 'public_key')),
  csr_sealed BLOB NOT NULL,
  state TEXT NOT NULL CHECK (
    state IN ('received', 'awaiting_mailbox_proof', 'awaiting_approval', 'submitting', 'pending', 'outcome_unknown',
              'issued', 'rejected', 'failed', 'cancelled', 'ended')
  ),
  reason TEXT,
  -- The way through a CA.
  connection TEXT NOT NULL,
  ca_profile TEXT,
  rule TEXT,
  rule_author TEXT,
  approvals_needed INTEGER NOT NULL CHECK (approvals_needed BETWEEN 0 AND 2),
  -- When the request is to be looked at again: sent, polled, probed, or taken from a worker that is gone. NULL: only
  -- when somebody acts.
  due_at INTEGER,
  -- The worker that has it, while it is `submitting`.
  claim TEXT,
  attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  -- When a CA was first handed it.
  submitted_at INTEGER,
  -- 1 while the CA may issue, or have issued, a certificate for it that is not kept here.
  open_at_ca INTEGER NOT NULL CHECK (open_at_ca IN (0, 1)),
  waits_for TEXT CHECK (waits_for IN ('ca_mailbox_challenge')),
  last_failure TEXT,
  -- What the CA calls it, what the CA said last, what an approver said, and a certificate that was not kept.
  ca_state_sealed BLOB,
  ca_said_sealed BLOB,
  explanation_sealed BLOB,
  returned_sealed BLOB,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- Over what is asked for whom, where it goes, and how many must approve it. src/ports/authority.ts
  authority_mac BLOB NOT NULL
) STRICT;
-- One key, device, mailbox and use: one request that is open or whose certificate is valid.
CREATE UNIQUE INDEX certificate_requests_live ON certificate_requests (key_index, device, mailbox, usage)
  WHERE state NOT IN ('rejected', 'failed', 'cancelled', 'ended');
CREATE INDEX certificate_requests_by_key ON certificate_requests (key_index);
CREATE INDEX certificate_requests_by_subscriber ON certificate_requests (subscriber, created_at, id);
CREATE INDEX certificate_requests_by_device ON certificate_requests (device);
CREATE INDEX certificate_requests_by_mailbox ON certificate_requests (mailbox);
CREATE INDEX certificate_requests_awaiting_proof ON certificate_requests (updated_at)
  WHERE state = 'awaiting_mailbox_proof';
CREATE INDEX certificate_requests_queue ON certificate_requests (connection, created_at, id) WHERE state = 'received';
CREATE INDEX certificate_requests_due ON certificate_requests (state, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX certificate_requests_open_at_ca ON certificate_requests (connection, state) WHERE open_at_ca = 1;
-- What administrators read requests by.
CREATE INDEX certificate_requests_by_age ON certificate_requests (created_at, id);
CREATE INDEX certificate_requests_by_state ON certificate_requests (state, created_at, id);

-- Who has said yes or no to a request.
CREATE TABLE request_approvals (
  request TEXT NOT NULL REFERENCES certificate_requests (id),
  administrator TEXT NOT NULL,
  decision TEXT NOT NULL CHECK (decision IN ('approved', 'rejected')),
  at INTEGER NOT NULL,
  authority_mac BLOB NOT NULL,
  PRIMARY KEY (request, administrator)
) STRICT, WITHOUT ROWID;

-- certificates
CREATE TABLE certificates (
  id TEXT PRIMARY KEY,
  request TEXT NOT NULL UNIQUE REFERENCES certificate_requests (id),
  subscriber TEXT NOT NULL REFERENCES subscribers (id),
  device TEXT NOT NULL REFERENCES devices (id),
  mailbox TEXT NOT NULL REFERENCES mailboxes (id),
  usage TEXT NOT NULL CHECK (usage IN ('sign', 'encrypt', 'dual')),
  state TEXT NOT NULL CHECK (state IN ('valid', 'superseded', 'revoked', 'expired')),
  -- Through which CA connection it came, and when it was asked for.
  connection TEXT NOT NULL REFERENCES ca_connections (id),
  requested_at INTEGER NOT NULL,
  authority TEXT NOT NULL REFERENCES certificate_authorities (id),
  serial_index TEXT NOT NULL,
  key_index TEXT NOT NULL,
  fingerprint_index TEXT NOT NULL,
  facts_sealed BLOB NOT NULL,
  certificate_sealed BLOB NOT NULL,
  -- The end of the day in which its term ends; facts_sealed has the exact times.
  not_after_day INTEGER NOT NULL,
  -- The day on which the holder is told next that it runs out; NULL once that has been said twice, or where it has ended.
  remind_day INTEGER,
  -- 1: it has been said once.
  reminded INTEGER NOT NULL DEFAULT 0 CHECK (reminded IN (0, 1)),
  -- When and why it was revoked.
  revocation_sealed BLOB,
  created_at INTEGER NOT NULL,
  authority_mac BLOB NOT NULL,
  UNIQUE (authority, serial_index)
) STRICT;
CREATE INDEX certificates_by_subscriber ON certificates (subscriber, created_at, id);
-- A device has one valid certificate per mailbox and use: the next one supersedes it.
CREATE UNIQUE INDEX certificates_live ON certificates (device, mailbox, usage) WHERE state = 'valid';
CREATE INDEX certificates_by_device ON certificates (device);
CREATE INDEX certificates_by_mailbox ON certificates (mailbox);
CREATE INDEX certificates_by_key ON certificates (key_index);
CREATE INDEX certificates_running_out ON certificates (not_after_day) WHERE state = 'valid';
CREATE INDEX certificates_to_remind ON certificates (remind_day) WHERE remind_day IS NOT NULL AND state = 'valid';
-- What administrators read certificates by.
CREATE INDEX certificates_by_fingerprint ON certificates (fingerprint_index);
CREATE INDEX certificates_by_serial_number ON certificates (serial_index);

-- What is due for renewal is remembered beside a caller.
CREATE TRIGGER certificates_made AFTER INSERT ON certificates
BEGIN
  INSERT INTO caller_changes (subscriber) VALUES (NEW.subscriber);
END;
CREATE TRIGGER certificates_changed AFTER UPDATE OF device, state, facts_sealed, not_after_day ON certificates
BEGIN
  INSERT INTO caller_changes (subscriber) SELECT OLD.subscriber UNION SELECT NEW.subscriber;
END;
CREATE TRIGGER certificates_deleted AFTER DELETE ON certificates
BEGIN
  INSERT INTO caller_changes (subscriber) VALUES (OLD.subscriber);
END;

-- Revocations that the CA of a certificate has to be told of.
CREATE TABLE ca_revocations (
  id TEXT PRIMARY KEY,
  connection TEXT NOT NULL REFERENCES ca_connections (id),
  request TEXT NOT NULL REFERENCES certificate_requests (id),
  fingerprint_index TEXT NOT NULL UNIQUE,
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

-- Keys that no certificate may be issued for: by a keyed hash of the SHA-256 of the SPKI, or of what Debian lists of its
-- weak RSA moduli.
CREATE TABLE blocked_keys (
  kind TEXT NOT NULL CHECK (kind IN ('spki-sha256', 'debian-modulus')),
  key_index TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('reported', 'disclosed', 'revocation', 'imported')),
  added_at INTEGER NOT NULL,
  PRIMARY KEY (kind, key_index)
) STRICT, WITHOUT ROWID;

-- Compromised keys that nothing here was certified for or is to be: as many as there is room for, the oldest go first.
CREATE TABLE unknown_keys (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  key_index TEXT NOT NULL UNIQUE,
  -- A keyed hash of the network that sent it and the day.
  sender BLOB NOT NULL
) STRICT;
CREATE INDEX unknown_keys_by_sender ON unknown_keys (sender);

-- Challenges to the holder of a bare public key: to have it certified, or to report it compromised.
CREATE TABLE key_challenges (
  id TEXT PRIMARY KEY,
  purpose TEXT NOT NULL CHECK (purpose IN ('possession', 'compromise')),
  subscriber TEXT,
  device TEXT,
  mailbox TEXT,
  usage TEXT CHECK (usage IN ('sign', 'encrypt', 'dual')),
  method TEXT NOT NULL CHECK (method IN ('sign', 'decrypt')),
  spki_sealed BLOB NOT NULL,
  expected_sha256 BLOB,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER,
  authority_mac BLOB NOT NULL
) STRICT;
CREATE INDEX key_challenges_expiring ON key_challenges (expires_at);

-- directory
CREATE TABLE publications (
  certificate TEXT PRIMARY KEY REFERENCES certificates (id),
  address_index BLOB NOT NULL,
  audience TEXT NOT NULL CHECK (audience IN ('members', 'public')),
  consent TEXT NOT NULL REFERENCES consent_records (id),
  published_at INTEGER NOT NULL,
  -- Over all of the row. src/ports/authority.ts
  authority_mac BLOB NOT NULL
) STRICT;
CREATE INDEX publications_by_address ON publications (address_index);
CREATE INDEX publications_by_consent ON publications (consent);

-- What lookups answer, ready to be sent: one row for each set of askers and uses that gets the same answer. `serves` adds
-- up 1 and 2 (members who verify signatures, who encrypt) and 4 and 8 (the same of anyone). Out of date: answer_sealed is
-- NULL, and the tables are read. Whatever changes an answer puts such a row in its place, in the same batch.
CREATE TABLE ready_answers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  address_index BLOB NOT NULL,
  serves INTEGER NOT NULL CHECK (serves BETWEEN 1 AND 15),
  answer_sealed BLOB,
  -- Days that hold the exact times, which are sealed with the answer.
  valid_from INTEGER NOT NULL,
  valid_until INTEGER NOT NULL,
  UNIQUE (address_index, serves)
) STRICT;
CREATE INDEX ready_answers_by_end ON ready_answers (valid_until);
CREATE TRIGGER publications_made AFTER INSERT ON publications
BEGIN
  DELETE FROM ready_answers WHERE address_index = NEW.address_index;
  INSERT INTO ready_answers (address_index, serves, valid_from, valid_until) VALUES (NEW.address_index, 15, 0, 0);
END;
CREATE TRIGGER publications_changed AFTER UPDATE ON publications
BEGIN
  DELETE FROM ready_answers WHERE address_index IN (OLD.address_index, NEW.address_index);
  INSERT INTO ready_answers (address_index, serves, valid_from, valid_until)
    SELECT OLD.address_index, 15, 0, 0 UNION SELECT NEW.address_index, 15, 0, 0;
END;
CREATE TRIGGER publications_ended AFTER DELETE ON publications
BEGIN
  DELETE FROM ready_answers WHERE address_index = OLD.address_index;
  INSERT INTO ready_answers (address_index, serves, valid_from, valid_until) VALUES (OLD.address_index, 15, 0, 0);
END;
CREATE TRIGGER published_certificates_changed
  AFTER UPDATE OF state, usage, device, authority, facts_sealed, certificate_sealed, not_after_day ON certificates
  WHEN EXISTS (SELECT 1 FROM publications WHERE certificate = NEW.id)
BEGIN
  DELETE FROM ready_answers
    WHERE address_index IN (SELECT address_index FROM publications WHERE certificate = NEW.id);
  INSERT INTO ready_answers (address_index, serves, valid_from, valid_until)
    SELECT address_index, 15, 0, 0 FROM publications WHERE certificate = NEW.id;
END;
CREATE TRIGGER published_subscribers_restricted AFTER UPDATE OF restricted_at ON subscribers
  WHEN OLD.restricted_at IS NOT NEW.restricted_at
BEGIN
  DELETE FROM ready_answers WHERE address_index IN (
    SELECT p.address_index FROM certificates c JOIN publications p ON p.certificate = c.id WHERE c.subscriber = NEW.id
  );
  INSERT INTO ready_answers (address_index, serves, valid_from, valid_until)
    SELECT DISTINCT p.address_index, 15, 0, 0
    FROM certificates c JOIN publications p ON p.certificate = c.id WHERE c.subscriber = NEW.id;
END;

-- admin
CREATE TABLE administrators (
  id TEXT PRIMARY KEY,
  -- Empty once an ended administrator's name has been dropped.
  name_sealed BLOB NOT NULL,
  -- A JSON array of role names, in their fixed order; what is left without the names is brackets and commas.
  roles TEXT NOT NULL,
  credential_verifier BLOB NOT NULL UNIQUE,
  credential_used_at INTEGER,
  -- The credential of a rotation: it takes the place of the other with its first use.
  next_credential_verifier BLOB,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  -- To the day; a credential that nobody uses for 180 days has expired.
  seen_at INTEGER NOT NULL,
  ended_at INTEGER,
  -- As of devices.
  seen_mac BLOB NOT NULL,
  authority_mac BLOB NOT NULL,
  CONSTRAINT administrators_roles_known CHECK (
    json_valid(roles) AND json_array_length(roles) BETWEEN 1 AND 5 AND
    replace(replace(replace(replace(replace(replace(replace(replace(
      roles, '"owner"', ''), '"operator"', ''), '"approver"', ''), '"privacy"', ''), '"auditor"', ''),
      ',', ''), '[', ''), ']', '') = ''
  )
) STRICT;
CREATE UNIQUE INDEX administrators_by_next_credential ON administrators (next_credential_verifier)
  WHERE next_credential_verifier IS NOT NULL;
CREATE INDEX administrators_by_age ON administrators (created_at, id);
CREATE INDEX administrators_owners ON administrators (seen_at) WHERE ended_at IS NULL AND instr(roles, '"owner"') > 0;
CREATE INDEX administrators_ended ON administrators (ended_at) WHERE ended_at IS NOT NULL;
