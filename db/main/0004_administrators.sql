-- admin
CREATE TABLE administrators (
  id TEXT PRIMARY KEY,
  -- Empty once an ended administrator's name has been dropped.
  name_sealed BLOB NOT NULL,
  -- A JSON array of role names, in their fixed order; what is left without the names is brackets and commas.
  roles TEXT NOT NULL,
  credential_sha256 BLOB NOT NULL UNIQUE,
  credential_used_at INTEGER,
  -- The credential of a rotation: it takes the place of the other with its first use.
  next_credential_sha256 BLOB,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  -- To the day; a credential that nobody uses for 180 days has expired.
  seen_at INTEGER NOT NULL,
  ended_at INTEGER,
  CONSTRAINT administrators_roles_known CHECK (
    json_valid(roles) AND json_array_length(roles) BETWEEN 1 AND 5 AND
    replace(replace(replace(replace(replace(replace(replace(replace(
      roles, '"owner"', ''), '"operator"', ''), '"approver"', ''), '"privacy"', ''), '"auditor"', ''),
      ',', ''), '[', ''), ']', '') = ''
  )
) STRICT;
CREATE UNIQUE INDEX administrators_by_next_credential ON administrators (next_credential_sha256)
  WHERE next_credential_sha256 IS NOT NULL;
CREATE INDEX administrators_by_age ON administrators (created_at, id);
CREATE INDEX administrators_owners ON administrators (seen_at) WHERE ended_at IS NULL AND instr(roles, '"owner"') > 0;
CREATE INDEX administrators_ended ON administrators (ended_at) WHERE ended_at IS NOT NULL;

-- What administrators read the audit log by.
CREATE INDEX audit_entries_by_time ON audit_entries (at);
CREATE INDEX audit_entries_by_subject ON audit_entries (subject, at);
CREATE INDEX audit_entries_by_actor ON audit_entries (actor, at) WHERE actor IS NOT NULL;

-- What administrators read requests and certificates by. A job fills the fingerprint of certificates that are older.
CREATE INDEX certificate_requests_by_age ON certificate_requests (created_at, id);
CREATE INDEX certificate_requests_by_state ON certificate_requests (state, created_at, id);
ALTER TABLE certificates ADD COLUMN fingerprint_sha256 TEXT;
CREATE INDEX certificates_by_fingerprint ON certificates (fingerprint_sha256) WHERE fingerprint_sha256 IS NOT NULL;
CREATE INDEX certificates_without_fingerprint ON certificates (id) WHERE fingerprint_sha256 IS NULL;
CREATE INDEX certificates_by_serial_number ON certificates (serial_number);
