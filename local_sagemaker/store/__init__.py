"""The database and what is read from and written to it; nothing here knows HTTP or runs anything."""
