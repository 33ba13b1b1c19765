"""Hyperparameter search: ranges, and the strategies that choose the next values.

Nothing here depends on the database, jobs or HTTP.
"""
