"""The tables of the database, and what is read from and written to them.

Nothing here knows HTTP or runs anything.
"""
