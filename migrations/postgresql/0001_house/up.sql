-- Organizations. Everything else belongs to one, and every foreign key includes it.
CREATE TABLE tenants (id UUID PRIMARY KEY, founded_at TIMESTAMPTZ NOT NULL);

-- The spine: a record is who it is for good; what it says stands in its versions.
CREATE TABLE records (
  tenant_id UUID NOT NULL REFERENCES tenants (id), id UUID NOT NULL, kind TEXT COLLATE "C" NOT NULL, number BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, kind, number));

-- Every version stays, valid from one ledger entry to the next (to_seq: 2^63 - 1 for the current one). `words` is what `q` searches, `schema` the shape of
-- the image in its ledger entry.
CREATE TABLE versions (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, kind TEXT COLLATE "C" NOT NULL, number BIGINT NOT NULL,
  external_ref TEXT COLLATE "C", name TEXT COLLATE "C" NOT NULL, status TEXT COLLATE "C" NOT NULL, owner_id UUID, due_on DATE, review_due_on DATE, rank INTEGER,
  tags TEXT COLLATE "C" NOT NULL, words TEXT COLLATE "C" NOT NULL, created_at TIMESTAMPTZ NOT NULL, updated_at TIMESTAMPTZ NOT NULL, archived_at TIMESTAMPTZ,
  from_seq BIGINT NOT NULL, to_seq BIGINT NOT NULL, schema SMALLINT NOT NULL,
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
  tenant_id UUID NOT NULL, from_id UUID NOT NULL, relation TEXT COLLATE "C" NOT NULL, to_id UUID NOT NULL, from_seq BIGINT NOT NULL, to_seq BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, from_id, relation, to_id, from_seq),
  FOREIGN KEY (tenant_id, from_id) REFERENCES records (tenant_id, id),
  FOREIGN KEY (tenant_id, to_id) REFERENCES records (tenant_id, id));
CREATE INDEX links_back ON links (tenant_id, to_id, relation, to_seq, from_id);

-- Which record refers to which requirement of a framework (`iso-27001-2022:A.5.1`).
CREATE TABLE requirement_links (
  tenant_id UUID NOT NULL, from_id UUID NOT NULL, requirement TEXT COLLATE "C" NOT NULL, from_seq BIGINT NOT NULL, to_seq BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, from_id, requirement, from_seq),
  FOREIGN KEY (tenant_id, from_id) REFERENCES records (tenant_id, id));
CREATE INDEX requirement_links_back ON requirement_links (tenant_id, requirement, to_seq, from_id);

-- What lists and views ask of a kind alone; one row a version. The whole record stands in its ledger entry.
CREATE TABLE organizations (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, time_zone TEXT COLLATE "C" NOT NULL, evidence_default_valid_days INTEGER NOT NULL,
  review_every_days INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE people (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, email TEXT COLLATE "C", worker_kind TEXT COLLATE "C", starts_on DATE, ends_on DATE,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE scopes (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, revision INTEGER NOT NULL, revision_in_force INTEGER,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE risk_methodologies (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, revision INTEGER NOT NULL, revision_in_force INTEGER,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE assets (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, asset_type TEXT COLLATE "C" NOT NULL, classification TEXT COLLATE "C" NOT NULL, confidentiality INTEGER, integrity INTEGER, availability INTEGER,
  personal_data BOOLEAN NOT NULL, lifecycle TEXT COLLATE "C",
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE threats (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, origin TEXT COLLATE "C", position TEXT COLLATE "C", built_in BOOLEAN NOT NULL, attack_ids TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE vulnerabilities (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, severity TEXT COLLATE "C" NOT NULL, source TEXT COLLATE "C", cve TEXT COLLATE "C", tool TEXT COLLATE "C", component TEXT COLLATE "C", weakness TEXT COLLATE "C",
  found_on DATE, fixed_on DATE, reopened_on DATE, reported_by UUID,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE risks (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, category TEXT COLLATE "C", affects_confidentiality BOOLEAN NOT NULL, affects_integrity BOOLEAN NOT NULL, affects_availability BOOLEAN NOT NULL,
  inherent_likelihood INTEGER, inherent_impact INTEGER, inherent_level TEXT COLLATE "C",
  current_likelihood INTEGER, current_impact INTEGER, current_level TEXT COLLATE "C", current_acceptable BOOLEAN, current_rank INTEGER,
  residual_likelihood INTEGER, residual_impact INTEGER, residual_level TEXT COLLATE "C",
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE risk_treatments (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, risk_id UUID NOT NULL, option TEXT COLLATE "C" NOT NULL, expires_on DATE,
  approved_seq BIGINT, approved_owner_id UUID, approved_rank INTEGER, approved_methodology_id UUID,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
-- With all that decides whether an acceptance holds, so that what stands against a risk is read from here alone.
CREATE INDEX risk_treatments_by_risk ON risk_treatments (tenant_id, risk_id, expires_on, approved_seq, approved_owner_id, approved_rank, approved_methodology_id);
CREATE TABLE controls (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, implementation TEXT COLLATE "C" NOT NULL, implemented_on DATE, frequency TEXT COLLATE "C", nature TEXT COLLATE "C", responsibility TEXT COLLATE "C" NOT NULL,
  preventive BOOLEAN NOT NULL, detective BOOLEAN NOT NULL, corrective BOOLEAN NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE applicability (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, scope_id UUID NOT NULL, requirement TEXT COLLATE "C" NOT NULL, applicable BOOLEAN NOT NULL, justification TEXT COLLATE "C", reasons TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE INDEX applicability_by_scope ON applicability (tenant_id, scope_id, requirement);
CREATE TABLE soa_versions (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, scope_id UUID NOT NULL, framework TEXT COLLATE "C" NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE INDEX soa_versions_by_scope ON soa_versions (tenant_id, scope_id, number);
-- The frozen statements, by the SHA-256 that their ledger entries name: compressed canonical JSON.
CREATE TABLE soa_statements (
  tenant_id UUID NOT NULL REFERENCES tenants (id), sha256 TEXT COLLATE "C" NOT NULL, content BYTEA NOT NULL, PRIMARY KEY (tenant_id, sha256));
CREATE TABLE evidence (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, source TEXT COLLATE "C" NOT NULL, external_id TEXT COLLATE "C", collected_at TIMESTAMPTZ NOT NULL, collected_on DATE NOT NULL,
  period_start_on DATE, period_end_on DATE, expires_on DATE, retain_until_on DATE, confidentiality TEXT COLLATE "C" NOT NULL, hold BOOLEAN NOT NULL, attests BOOLEAN NOT NULL,
  sha256 TEXT COLLATE "C" NOT NULL, superseded_by_id UUID, pushed_by UUID NOT NULL, outcome TEXT COLLATE "C",
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE INDEX evidence_by_identity ON evidence (tenant_id, source, external_id, collected_at);
CREATE TABLE nonconformities (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, identified_through TEXT COLLATE "C" NOT NULL, severity TEXT COLLATE "C" NOT NULL, detected_on DATE NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE actions (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, progress INTEGER,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE frameworks (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, slug TEXT COLLATE "C" NOT NULL, edition TEXT COLLATE "C" NOT NULL, publisher TEXT COLLATE "C" NOT NULL, revision INTEGER NOT NULL,
  requirement_count INTEGER NOT NULL, mapping_count INTEGER NOT NULL, sha256 TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE INDEX frameworks_by_slug ON frameworks (tenant_id, slug);
-- The requirements and mappings of imported frameworks, by the SHA-256 that their ledger entries name: compressed canonical JSON.
CREATE TABLE framework_contents (
  tenant_id UUID NOT NULL REFERENCES tenants (id), sha256 TEXT COLLATE "C" NOT NULL, content BYTEA NOT NULL, PRIMARY KEY (tenant_id, sha256));
CREATE TABLE gap_assessments (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, framework TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE TABLE gap_answers (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, assessment_id UUID NOT NULL, requirement TEXT COLLATE "C" NOT NULL, state TEXT COLLATE "C" NOT NULL, target_state TEXT COLLATE "C",
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version),
  FOREIGN KEY (tenant_id, assessment_id) REFERENCES records (tenant_id, id));
CREATE INDEX gap_answers_by_assessment ON gap_answers (tenant_id, assessment_id, requirement);
CREATE TABLE users (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, email TEXT COLLATE "C" NOT NULL, roles TEXT COLLATE "C" NOT NULL, disabled_at TIMESTAMPTZ,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));
CREATE INDEX users_by_email ON users (email);
CREATE TABLE api_keys (
  tenant_id UUID NOT NULL, id UUID NOT NULL, version INTEGER NOT NULL, role TEXT COLLATE "C" NOT NULL, expires_at TIMESTAMPTZ NOT NULL, revoked_at TIMESTAMPTZ,
  PRIMARY KEY (tenant_id, id, version), FOREIGN KEY (tenant_id, id, version) REFERENCES versions (tenant_id, id, version));

-- Secrets, beside the records that they belong to, never in the ledger. Without a password, the holder sets one with the setup token. `issued_by` is
-- the account that issued what is there (none: the system), `holder_set_at` when the holder set the password since; `epoch` grows with whatever ends
-- all sessions of the account.
CREATE TABLE credentials (
  tenant_id UUID NOT NULL, user_id UUID NOT NULL, password_hash TEXT COLLATE "C", setup_hash BYTEA, setup_expires_at TIMESTAMPTZ,
  issued_by UUID, issued_by_person UUID, issued_at TIMESTAMPTZ NOT NULL, holder_set_at TIMESTAMPTZ, epoch INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, user_id), FOREIGN KEY (tenant_id, user_id) REFERENCES records (tenant_id, id));
CREATE UNIQUE INDEX credentials_by_setup ON credentials (setup_hash);
CREATE TABLE key_secrets (
  hash BYTEA PRIMARY KEY, tenant_id UUID NOT NULL, key_id UUID NOT NULL, expires_at TIMESTAMPTZ NOT NULL,
  made_at TIMESTAMPTZ NOT NULL, current BOOLEAN NOT NULL,
  FOREIGN KEY (tenant_id, key_id) REFERENCES records (tenant_id, id));
CREATE INDEX key_secrets_by_key ON key_secrets (tenant_id, key_id);
-- Sessions: refresh tokens, and the attempts that were counted against an address, an account or a source. They are looked up before the
-- organization is known.
CREATE TABLE refresh_tokens (
  hash BYTEA PRIMARY KEY, tenant_id UUID NOT NULL, user_id UUID NOT NULL, family UUID NOT NULL, epoch INTEGER NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL, used_at TIMESTAMPTZ);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);
CREATE TABLE login_attempts (subject BYTEA PRIMARY KEY, failures INTEGER NOT NULL, last_at TIMESTAMPTZ NOT NULL);
CREATE INDEX login_attempts_by_time ON login_attempts (last_at);

-- Answers that a retry gets again, stored with their effect.
CREATE TABLE idempotency_keys (
  tenant_id UUID NOT NULL REFERENCES tenants (id), caller_id UUID NOT NULL, operation TEXT COLLATE "C" NOT NULL, idempotency_key TEXT COLLATE "C" NOT NULL,
  fingerprint BYTEA NOT NULL, status INTEGER NOT NULL, etag TEXT COLLATE "C", location TEXT COLLATE "C", body TEXT COLLATE "C" NOT NULL, created_at TIMESTAMPTZ NOT NULL,
  sight BIGINT NOT NULL, first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, caller_id, operation, idempotency_key));
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (tenant_id, created_at);

-- The ledger: one append-only log per organization. `numbers` holds the last number given to a record of each kind. `accounts_seq` is
-- the position of the last entry about an account (-1 before the first): what it says decides the names that answers put in.
CREATE TABLE ledger_heads (
  tenant_id UUID PRIMARY KEY REFERENCES tenants (id), size BIGINT NOT NULL, peaks BYTEA NOT NULL, last_at TIMESTAMPTZ NOT NULL,
  epoch INTEGER NOT NULL, numbers TEXT COLLATE "C" NOT NULL, accounts_seq BIGINT NOT NULL);
CREATE TABLE ledger_entries (
  tenant_id UUID NOT NULL REFERENCES tenants (id), seq BIGINT NOT NULL, at TIMESTAMPTZ NOT NULL, request_id UUID NOT NULL,
  actor_kind TEXT COLLATE "C" NOT NULL, actor_id UUID NOT NULL, person_id UUID, action TEXT COLLATE "C" NOT NULL, reason TEXT COLLATE "C", reason_salt BYTEA,
  kind TEXT COLLATE "C" NOT NULL, record_id UUID NOT NULL, record_version INTEGER NOT NULL, body TEXT COLLATE "C" NOT NULL, body_salt BYTEA NOT NULL,
  personal TEXT COLLATE "C", personal_salt BYTEA, leaf TEXT COLLATE "C" NOT NULL, leaf_hash BYTEA NOT NULL, erased_by BIGINT, schema SMALLINT NOT NULL,
  PRIMARY KEY (tenant_id, seq), UNIQUE (tenant_id, kind, record_id, record_version));
CREATE INDEX ledger_by_record ON ledger_entries (tenant_id, record_id, seq);
CREATE INDEX ledger_by_actor ON ledger_entries (tenant_id, actor_id, seq);
CREATE INDEX ledger_by_time ON ledger_entries (tenant_id, at, seq);

-- An entry never changes, but for one thing: an erasure clears its personal half, its reason or both, each with its salt, and names the entry that
-- records the erasure.
CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND
    (NEW.tenant_id, NEW.seq, NEW.at, NEW.request_id, NEW.actor_kind, NEW.actor_id, NEW.action, NEW.kind, NEW.record_id, NEW.record_version,
     NEW.body, NEW.body_salt, NEW.leaf, NEW.leaf_hash, NEW.schema)
    IS NOT DISTINCT FROM
    (OLD.tenant_id, OLD.seq, OLD.at, OLD.request_id, OLD.actor_kind, OLD.actor_id, OLD.action, OLD.kind, OLD.record_id, OLD.record_version,
     OLD.body, OLD.body_salt, OLD.leaf, OLD.leaf_hash, OLD.schema)
    AND NEW.person_id IS NOT DISTINCT FROM OLD.person_id
    AND OLD.erased_by IS NULL AND NEW.erased_by IS NOT NULL AND NEW.erased_by > OLD.seq
    AND EXISTS (SELECT 1 FROM ledger_entries AS by_entry WHERE by_entry.tenant_id = OLD.tenant_id AND by_entry.seq = NEW.erased_by)
    AND ((NEW.personal IS NOT DISTINCT FROM OLD.personal AND NEW.personal_salt IS NOT DISTINCT FROM OLD.personal_salt)
      OR (NEW.personal IS NULL AND NEW.personal_salt IS NULL))
    AND ((NEW.reason IS NOT DISTINCT FROM OLD.reason AND NEW.reason_salt IS NOT DISTINCT FROM OLD.reason_salt)
      OR (NEW.reason IS NULL AND NEW.reason_salt IS NULL))
    AND ((OLD.personal IS NOT NULL AND NEW.personal IS NULL) OR (OLD.reason IS NOT NULL AND NEW.reason IS NULL))
  THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'the ledger is append-only';
END $$;
CREATE TRIGGER ledger_no_update BEFORE UPDATE OR DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
