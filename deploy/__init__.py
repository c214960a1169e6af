"""How the platform is brought to run: on one machine (``local``), later on many."""
