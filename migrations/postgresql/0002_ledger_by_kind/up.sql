-- Entries of one register, in order: a page of them would walk the whole log.
CREATE INDEX ledger_by_kind ON ledger_entries (tenant_id, kind, seq);
