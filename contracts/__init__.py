"""What the rooms agree on: models, topics, ids, error codes. Pure: no I/O, no logging, no clients."""
