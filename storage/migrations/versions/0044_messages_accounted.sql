-- After a crash a raw record is gone over again. Where a device changed hands in between, its messages then stand in a record of another
-- partition, which is another row here: only by the messages themselves can the store tell that they are counted already.
ALTER TABLE ledger_stored ADD COLUMN messages bytea NOT NULL DEFAULT '';
COMMENT ON COLUMN ledger_stored.messages IS
    'which messages of the raw record it accounts for: bit n (of the number whose bytes these are, the lowest first) is message n';
