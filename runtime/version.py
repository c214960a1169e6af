"""Version of the software, as it stands on quarantined messages and reports."""

VERSION = "0.1.0"
