"""From raw date partitions to the train, val and test parquet of one partition, for any table; no Airflow in here.

A `spec.TableSpec` says what is particular to a table. That of the example is in `flights/`, which nothing outside that
folder may import. `window` says which dates a partition reads, `raw` checks the raw files, `engines` opens them for the
table's own `build`, `output` writes the splits whole, `storage` and `on_s3` do the same on S3, `program` ties them
together and `python -m preprocessing` runs it.
"""
