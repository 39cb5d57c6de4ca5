DROP INDEX ledger_by_kind;
