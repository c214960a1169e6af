"""Clinical rules: pure functions over values, versioned and sourced. They neither raise for bad data nor log."""
