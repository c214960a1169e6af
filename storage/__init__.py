"""The database: migrations, the exactly-once writer, the ledger and the quarantine."""
