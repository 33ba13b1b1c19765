"""Watching an execution to its end and reporting on it; nothing here starts one."""
