"""The HTTP layer: protocols, signatures, throttling, and the services that moto implements.

No action belongs here.
"""
