"""Training and processing jobs as supervised processes under the SageMaker container contract.

Nothing here knows pipelines, the database or HTTP; this file imports nothing, because every job's process imports it.
"""
