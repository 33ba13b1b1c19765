"""What a client of a running server needs: environment variables, and calls of the server's own actions.

Nothing of the server itself may be imported here, so that `env` and `interrupt` start at once.
"""
