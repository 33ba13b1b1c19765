"""One host of a job: a small process that starts the program, reads its output and never outlives the server.

Standard library only, and started with `python -I -S`, so that a host costs some 20 ms.
"""
