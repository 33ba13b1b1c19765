"""Expressions (`Get`, `Std:Join`, `Std:JsonGet`), whose values are known only when a pipeline runs, and conditions.

Nothing here depends on steps, actions or the database.
"""
