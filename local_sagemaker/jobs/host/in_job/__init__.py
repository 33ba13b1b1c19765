"""Modules that are copied into each job's environment. Standard library only; they run on Python 3.10 and newer."""
