"""``agora demo``: recorded and synthetic patients at home, two companies' apps, and everything that must hold."""
