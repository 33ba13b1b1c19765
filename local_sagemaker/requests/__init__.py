"""Checks of requests beyond the service's model: rejects unsupported members and values by name.

Nothing here executes a request or depends on the database.
"""
