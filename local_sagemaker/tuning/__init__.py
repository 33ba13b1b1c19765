"""Hyperparameter search: ranges, and the strategies that choose the next values. No database, no jobs, no HTTP."""
