"""From raw date partitions of flights to the train, val and test parquet of one partition.

`fields` says which columns the table has, `window` which dates a partition reads, `source` where the raw rows come
from, `raw` reads them, `features` builds the table, `output` writes it whole, `storage` does the same on S3, `program`
ties them together and `python -m preprocessing` runs it. None of it knows Airflow.
"""
