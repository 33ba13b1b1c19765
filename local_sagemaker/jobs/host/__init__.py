"""A host of a job: its folders, its Python environment, and the small process that runs and ends the program.

Nothing here depends on what a job downloads or reports.
"""
