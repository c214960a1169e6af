"""The ``agora`` command: it builds clients and hands them down; rules live below."""
