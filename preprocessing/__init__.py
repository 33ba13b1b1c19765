"""From raw date partitions to the train, val and test Parquet files of one partition, for any table; without Airflow.

A `spec.TableSpec` describes a table. The example's is in `flights/`, which no module outside that folder may import.
`window` determines the dates that a partition reads, `raw` checks the raw files, `engines` opens them for the table's
`build`, `output` writes the splits atomically, `storage` and `on_s3` do the same on S3, `program` combines them, and
`python -m preprocessing` runs it.
"""
