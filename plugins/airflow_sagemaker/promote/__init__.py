"""Promotion: what is registered, how a model is judged, and how its metrics are watched."""
