"""For clients of a running server: environment variables, and calls of the server's own actions.

It imports nothing of the server, so that `env` and `interrupt` start quickly.
"""
