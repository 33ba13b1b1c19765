"""What a request may hold beyond the service's model: what is not supported here is refused by name.

Nothing here acts on a request or knows the database.
"""
