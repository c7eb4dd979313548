"""Where a log is kept: SQLite, and the separate record of what was signed."""
