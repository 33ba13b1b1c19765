"""The HTTP layer: protocols, signatures, throttling, and the services that moto implements.

Actions are in `actions/`.
"""
