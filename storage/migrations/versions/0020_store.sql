ALTER TABLE quarantine ADD COLUMN raw_source text;
COMMENT ON COLUMN quarantine.raw_source IS
    'for what the store refused: topic/partition/offset[/index] of the raw message it came from, so that it can be replayed';
CREATE INDEX quarantine_by_device ON quarantine (org, device, quarantine_id);
-- Rows that change in every transaction: room beside them keeps the new version on the page and the index untouched.
ALTER TABLE offsets SET (fillfactor = 20);
ALTER TABLE ledger_devices SET (fillfactor = 50);
CREATE INDEX ledger_raw_resent ON ledger_raw (raw_partition, raw_offset) WHERE resent;
