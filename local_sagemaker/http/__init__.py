"""What a request meets first: protocol, signature, throttling, and the services that moto answers.

No action belongs here.
"""
