"""The runner: a small process that starts a host's program, reads its output and never outlives the server.

It uses only the standard library and is started with `python -I -S`, so that a host starts in about 20 ms.
"""
