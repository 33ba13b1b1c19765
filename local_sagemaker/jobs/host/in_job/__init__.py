"""Copied into each job's own environment and run by its Python: standard library only, any Python from 3.10."""
