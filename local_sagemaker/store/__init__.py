"""The database's tables, and the functions that read and write them.

Nothing here depends on HTTP or runs anything.
"""
