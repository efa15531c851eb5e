"""The embedded store: one SQLite file and its head."""
