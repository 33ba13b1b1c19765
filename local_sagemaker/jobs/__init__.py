"""Training and processing jobs as supervised processes under the SageMaker container contract.

Nothing here depends on pipelines, the database or HTTP. This file imports nothing, because every job's runner imports
it.
"""
