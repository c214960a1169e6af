"""The catalogue's entries, a file a body system. Each module gives ``VITALS`` and may give ``PANELS``."""
