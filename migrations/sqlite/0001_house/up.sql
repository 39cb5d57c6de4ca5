-- Organizations. Everything else belongs to one, and every foreign key includes it.
CREATE TABLE tenants (id BLOB PRIMARY KEY, founded_at INTEGER NOT NULL);

-- The spine: a record is who it is for good; what it says stands in its versions.
CREATE TABLE records (
  tenant_id BLOB NOT NULL REFERENCES tenants (id), id BLOB NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, kind, number));

-- Every version stays, valid from one ledger entry to the next (to_seq: 2^63 - 1 for the current one). `words` is what `q` searches, `schema` the shape of
-- the image in its ledger entry.
CREATE TABLE versions (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL,
  external_ref TEXT, name TEXT NOT NULL, status TEXT NOT NULL, owner_id BLOB, due_on TEXT, review_due_on TEXT, rank INTEGER,
  tags TEXT NOT NULL, words TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, archived_at INTEGER,
  from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL, schema INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id, version),
  FOREIGN KEY (tenant_id, id) REFERENCES records (tenant_id, id),
  FOREIGN KEY (tenant_id, owner_id) REFERENCES records (tenant_id, id));
CREATE UNIQUE INDEX versions_by_seq ON versions (tenant_id, from_seq);
-- What stands, in each order that lists have.
CREATE UNIQUE INDEX versions_now ON versions (tenant_id, id) WHERE to_seq = 9223372036854775807;
CREATE UNIQUE INDEX versions_now_by_ref ON versions (tenant_id, kind, external_ref) WHERE to_seq = 9223372036854775807 AND external_ref IS NOT NULL;
CREATE INDEX versions_now_by_created ON versions (tenant_id, kind, created_at, id) WHERE to_seq = 9223372036854775807;
CREATE INDEX versions_now_by_updated ON versions (tenant_id, kind, updated_at, id) WHERE to_seq = 9223372036854775807;
CREATE INDEX versions_now_by_name ON versions (tenant_id, kind, name, id) WHERE to_seq = 9223372036854775807;
CREATE INDEX versions_now_by_number ON versions (tenant_id, kind, number, id) WHERE to_seq = 9223372036854775807;
CREATE INDEX versions_now_by_status ON versions (tenant_id, kind, status, id) WHERE to_seq = 9223372036854775807;
CREATE INDEX versions_now_by_due ON versions (tenant_id, kind, due_on, id) WHERE to_seq = 9223372036854775807;
CREATE INDEX versions_now_by_review ON versions (tenant_id, kind, review_due_on, id) WHERE to_seq = 9223372036854775807;
CREATE INDEX versions_now_by_rank ON versions (tenant_id, kind, rank, id) WHERE to_seq = 9223372036854775807;
-- What stood, in the orders that are asked most. (The condition always holds; it keeps these indexes out of questions about the present.)
CREATE INDEX versions_then_by_created ON versions (tenant_id, kind, created_at, id, from_seq, to_seq) WHERE version > 0;
CREATE INDEX versions_then_by_updated ON versions (tenant_id, kind, updated_at, id, from_seq, to_seq) WHERE version > 0;
CREATE INDEX versions_then_by_name ON versions (tenant_id, kind, name, id, from_seq, to_seq) WHERE version > 0;
CREATE INDEX versions_then_by_rank ON versions (tenant_id, kind, rank, id, from_seq, to_seq) WHERE version > 0;

-- Which record refers to which, in which member, and from which entry to which.
CREATE TABLE links (
  tenant_id BLOB NOT NULL, from_id BLOB NOT NULL, relation TEXT NOT NULL, to_id BLOB NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, from_id, relation, to_id, from_seq),
  FOREIGN KEY (tenant_id, from_id) REFERENCES records (tenant_id, id),
  FOREIGN KEY (tenant_id, to_id) REFERENCES records (tenant_id, id)) WITHOUT ROWID;
CREATE INDEX links_back ON links (tenant_id, to_id, relation, to_seq, from_id);

-- Which record refers to which requirement of a framework (`iso-27001-2022:A.5.1`).
CREATE TABLE requirement_links (
  tenant_id BLOB NOT NULL, from_id BLOB NOT NULL, requirement TEXT NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, from_id, requirement, from_seq),
  FOREIGN KEY (tenant_id, from_id) REFERENCES records (tenant_id, id)) WITHOUT ROWID;
CREATE INDEX requirement_links_back ON requirement_links (tenant_id, requirement, to_seq, from_id);

-- What lists and views ask of a kind alone; one row a version. The whole record stands in its ledger entry.
CREATE TABLE organizations (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, time_zone TEXT NOT NULL, evidence_default_valid_days INTEGER NOT NULL,
  review_every_days INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE people (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, email TEXT, worker_kind TEXT, starts_on TEXT, ends_on TEXT,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE scopes (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, revision INTEGER NOT NULL, revision_in_force INTEGER,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE risk_methodologies (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, revision INTEGER NOT NULL, revision_in_force INTEGER,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE assets (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, asset_type TEXT NOT NULL, classification TEXT NOT NULL, confidentiality INTEGER, integrity INTEGER, availability INTEGER,
  personal_data BOOLEAN NOT NULL, lifecycle TEXT,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE threats (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, origin TEXT, position TEXT, built_in BOOLEAN NOT NULL, attack_ids TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE vulnerabilities (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, severity TEXT NOT NULL, source TEXT, cve TEXT, tool TEXT, component TEXT, weakness TEXT,
  found_on TEXT, fixed_on TEXT, reopened_on TEXT, reported_by BLOB,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE risks (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, category TEXT, affects_confidentiality BOOLEAN NOT NULL, affects_integrity BOOLEAN NOT NULL, affects_availability BOOLEAN NOT NULL,
  inherent_likelihood INTEGER, inherent_impact INTEGER, inherent_level TEXT,
  current_likelihood INTEGER, current_impact INTEGER, current_level TEXT, current_acceptable BOOLEAN, current_rank INTEGER,
  residual_likelihood INTEGER, residual_impact INTEGER, residual_level TEXT,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE risk_treatments (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, risk_id BLOB NOT NULL, option TEXT NOT NULL, expires_on TEXT,
  approved_seq INTEGER, approved_owner_id BLOB, approved_rank INTEGER, approved_methodology_id BLOB,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
-- With all that decides whether an acceptance holds, so that what stands against a risk is read from here alone.
CREATE INDEX risk_treatments_by_risk ON risk_treatments (tenant_id, risk_id, expires_on, approved_seq, approved_owner_id, approved_rank, approved_methodology_id);
CREATE TABLE controls (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, implementation TEXT NOT NULL, implemented_on TEXT, frequency TEXT, nature TEXT, responsibility TEXT NOT NULL,
  preventive BOOLEAN NOT NULL, detective BOOLEAN NOT NULL, corrective BOOLEAN NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE applicability (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, scope_id BLOB NOT NULL, requirement TEXT NOT NULL, applicable BOOLEAN NOT NULL, justification TEXT, reasons TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE INDEX applicability_by_scope ON applicability (tenant_id, scope_id, requirement);
CREATE TABLE soa_versions (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, scope_id BLOB NOT NULL, framework TEXT NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE INDEX soa_versions_by_scope ON soa_versions (tenant_id, scope_id, number);
-- The frozen statements, by the SHA-256 that their ledger entries name: compressed canonical JSON.
CREATE TABLE soa_statements (
  tenant_id BLOB NOT NULL REFERENCES tenants (id), sha256 TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (tenant_id, sha256));
CREATE TABLE evidence (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, source TEXT NOT NULL, external_id TEXT, collected_at INTEGER NOT NULL, collected_on TEXT NOT NULL,
  period_start_on TEXT, period_end_on TEXT, expires_on TEXT, retain_until_on TEXT, confidentiality TEXT NOT NULL, hold BOOLEAN NOT NULL, attests BOOLEAN NOT NULL,
  sha256 TEXT NOT NULL, superseded_by_id BLOB, pushed_by BLOB NOT NULL, outcome TEXT,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE INDEX evidence_by_identity ON evidence (tenant_id, source, external_id, collected_at);
CREATE TABLE nonconformities (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, identified_through TEXT NOT NULL, severity TEXT NOT NULL, detected_on TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE actions (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, progress INTEGER,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE frameworks (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, slug TEXT NOT NULL, edition TEXT NOT NULL, publisher TEXT NOT NULL, revision INTEGER NOT NULL,
  requirement_count INTEGER NOT NULL, mapping_count INTEGER NOT NULL, sha256 TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE INDEX frameworks_by_slug ON frameworks (tenant_id, slug);
-- The requirements and mappings of imported frameworks, by the SHA-256 that their ledger entries name: compressed canonical JSON.
CREATE TABLE framework_contents (
  tenant_id BLOB NOT NULL REFERENCES tenants (id), sha256 TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (tenant_id, sha256));
CREATE TABLE gap_assessments (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, framework TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE TABLE gap_answers (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, assessment_id BLOB NOT NULL, requirement TEXT NOT NULL, state TEXT NOT NULL, target_state TEXT,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version),
  FOREIGN KEY (tenant_id, assessment_id) REFERENCES records (tenant_id, id)) WITHOUT ROWID;
CREATE INDEX gap_answers_by_assessment ON gap_answers (tenant_id, assessment_id, requirement);
CREATE TABLE users (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, email TEXT NOT NULL, roles TEXT NOT NULL, disabled_at INTEGER,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;
CREATE INDEX users_by_email ON users (email);
CREATE TABLE api_keys (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, role TEXT NOT NULL, expires_at INTEGER NOT NULL, revoked_at INTEGER,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version)) WITHOUT ROWID;

-- Secrets, beside the records that they belong to, never in the ledger. Without a password, the holder sets one with the setup token. `issued_by` is
-- the account that issued what is there (none: the system), `holder_set_at` when the holder set the password since; `epoch` grows with whatever ends
-- all sessions of the account.
CREATE TABLE credentials (
  tenant_id BLOB NOT NULL, user_id BLOB NOT NULL, password_hash TEXT, setup_hash BLOB, setup_expires_at INTEGER,
  issued_by BLOB, issued_by_person BLOB, issued_at INTEGER NOT NULL, holder_set_at INTEGER, epoch INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, user_id), FOREIGN KEY (tenant_id, user_id) REFERENCES records (tenant_id, id));
CREATE UNIQUE INDEX credentials_by_setup ON credentials (setup_hash);
CREATE TABLE key_secrets (
  hash BLOB PRIMARY KEY, tenant_id BLOB NOT NULL, key_id BLOB NOT NULL, expires_at INTEGER NOT NULL,
  made_at INTEGER NOT NULL, current BOOLEAN NOT NULL,
  FOREIGN KEY (tenant_id, key_id) REFERENCES records (tenant_id, id));
CREATE INDEX key_secrets_by_key ON key_secrets (tenant_id, key_id);

-- Answers that a retry gets again, stored with their effect.
CREATE TABLE idempotency_keys (
  tenant_id BLOB NOT NULL REFERENCES tenants (id), caller_id BLOB NOT NULL, operation TEXT NOT NULL, idempotency_key TEXT NOT NULL,
  fingerprint BLOB NOT NULL, status INTEGER NOT NULL, etag TEXT, location TEXT, body TEXT NOT NULL, created_at INTEGER NOT NULL,
  sight INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, caller_id, operation, idempotency_key));
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (tenant_id, created_at);

-- The ledger: one append-only log per organization. `numbers` holds the last number given to a record of each kind. `accounts_seq` is
-- the position of the last entry about an account (-1 before the first): what it says decides the names that answers put in.
CREATE TABLE ledger_heads (
  tenant_id BLOB PRIMARY KEY REFERENCES tenants (id), size INTEGER NOT NULL, peaks BLOB NOT NULL, last_at INTEGER NOT NULL,
  epoch INTEGER NOT NULL, numbers TEXT NOT NULL, accounts_seq INTEGER NOT NULL);
CREATE TABLE ledger_entries (
  tenant_id BLOB NOT NULL REFERENCES tenants (id), seq INTEGER NOT NULL, at INTEGER NOT NULL, request_id BLOB NOT NULL,
  actor_kind TEXT NOT NULL, actor_id BLOB NOT NULL, person_id BLOB, action TEXT NOT NULL, reason TEXT, reason_salt BLOB,
  kind TEXT NOT NULL, record_id BLOB NOT NULL, record_version INTEGER NOT NULL, body TEXT NOT NULL, body_salt BLOB NOT NULL,
  personal TEXT, personal_salt BLOB, leaf TEXT NOT NULL, leaf_hash BLOB NOT NULL, erased_by INTEGER, schema INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, seq), UNIQUE (tenant_id, kind, record_id, record_version));
CREATE INDEX ledger_by_record ON ledger_entries (tenant_id, record_id, seq);
CREATE INDEX ledger_by_actor ON ledger_entries (tenant_id, actor_id, seq);
CREATE INDEX ledger_by_time ON ledger_entries (tenant_id, at, seq);

-- An entry never changes, but for one thing: an erasure clears its personal half, its reason or both, each with its salt, and names the entry that
-- records the erasure.
CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger_entries
WHEN NOT (NEW.tenant_id IS OLD.tenant_id AND NEW.seq IS OLD.seq AND NEW.at IS OLD.at AND NEW.request_id IS OLD.request_id
  AND NEW.actor_kind IS OLD.actor_kind AND NEW.actor_id IS OLD.actor_id AND NEW.person_id IS OLD.person_id AND NEW.action IS OLD.action
  AND NEW.kind IS OLD.kind AND NEW.record_id IS OLD.record_id AND NEW.record_version IS OLD.record_version AND NEW.body IS OLD.body
  AND NEW.body_salt IS OLD.body_salt AND NEW.leaf IS OLD.leaf AND NEW.leaf_hash IS OLD.leaf_hash AND NEW.schema IS OLD.schema
  AND OLD.erased_by IS NULL AND NEW.erased_by > OLD.seq
  AND EXISTS (SELECT 1 FROM ledger_entries AS by WHERE by.tenant_id = OLD.tenant_id AND by.seq = NEW.erased_by)
  AND ((NEW.personal IS OLD.personal AND NEW.personal_salt IS OLD.personal_salt) OR (NEW.personal IS NULL AND NEW.personal_salt IS NULL))
  AND ((NEW.reason IS OLD.reason AND NEW.reason_salt IS OLD.reason_salt) OR (NEW.reason IS NULL AND NEW.reason_salt IS NULL))
  AND ((OLD.personal IS NOT NULL AND NEW.personal IS NULL) OR (OLD.reason IS NOT NULL AND NEW.reason IS NULL)))
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
-- INSERT OR REPLACE deletes what is in the way without a word to the trigger above.
CREATE TRIGGER ledger_no_replace BEFORE INSERT ON ledger_entries
WHEN EXISTS (SELECT 1 FROM ledger_entries WHERE tenant_id = NEW.tenant_id AND seq = NEW.seq)
  OR EXISTS (SELECT 1 FROM ledger_entries
    WHERE tenant_id = NEW.tenant_id AND kind = NEW.kind AND record_id = NEW.record_id AND record_version = NEW.record_version)
  OR EXISTS (SELECT 1 FROM ledger_entries WHERE rowid = NEW.rowid)
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
