"""One host of a job: its folders, its Python, and the small process that runs and ends the program.

Nothing here knows what a job downloads or reports.
"""
