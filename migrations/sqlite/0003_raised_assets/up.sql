-- What the dependents of an asset raise it to, from one ledger entry to the next; no row where they raise it to nothing.
CREATE TABLE raised_assets (
  tenant_id BLOB NOT NULL, id BLOB NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL,
  confidentiality INTEGER, integrity INTEGER, availability INTEGER,
  PRIMARY KEY (tenant_id, id, to_seq), FOREIGN KEY (tenant_id, id) REFERENCES records (tenant_id, id)) WITHOUT ROWID;
-- The kinds that a migration has left something to compute for; the program does it when it opens the database.
CREATE TABLE unfilled (kind TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
INSERT INTO unfilled SELECT 'asset' WHERE EXISTS (SELECT 1 FROM tenants);
