"""The types of step: what each must hold, creates, is described by, and does; one entry each in `step_types.py`.

Nothing here knows a whole definition, the order of steps or HTTP.
"""
