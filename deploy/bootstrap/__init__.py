"""From a bare Debian with python3 to the running command: standard library only, since nothing else is there yet."""
