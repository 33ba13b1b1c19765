"""The step types: what each one contains, creates and does. `step_types.py` lists them.

Nothing here depends on whole definitions, the order of steps or HTTP.
"""
