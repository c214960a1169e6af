"""``agora demo``: recorded and synthetic patients at home, two companies' apps, and everything that must hold."""

DEVICES_FILE = "demo-devices.json"
"""Among an instance's credentials: the devices that the demo enrolled, with their passwords."""
