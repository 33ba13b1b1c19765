"""Writes the splits of one partition to the training's input path; replace it with your own query."""

from __future__ import annotations

import io
import random
import zlib
from typing import Any

from customers import AWS_CONN_ID

ROWS = {"train": 4000, "val": 1000, "test": 1000}


def write_table(pipeline_name: str, partition: str) -> str:
    """Write train, val and test of a partition to the connection's bucket; return their folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_sagemaker.aws.connections import connection_defaults

    bucket = connection_defaults(AWS_CONN_ID).bucket
    if bucket is None:
        raise ValueError(f"connection {AWS_CONN_ID!r} has no bucket; set service_config.s3.bucket_name in its extra")
    s3 = S3Hook(AWS_CONN_ID)
    prefix = f"{pipeline_name}/input/{partition}"
    for split, rows in ROWS.items():
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(customers(f"{partition}/{split}", rows)), file)
        s3.load_bytes(file.getvalue(), f"{prefix}/{split}/{split}.parquet", bucket, replace=True)
    return f"s3://{bucket}/{prefix}"


def customers(name: str, rows: int) -> list[dict[str, Any]]:
    """Return random customers that depend only on `name`: those who visit often, or live in NL, buy more often."""
    draw = random.Random(zlib.crc32(name.encode()))  # noqa: S311 - synthetic data, not a secret
    found = []
    for number in range(rows):
        visits, country = draw.randrange(20), draw.choice(["DE", "FR", "NL"])
        chance = 0.05 + 0.03 * visits + (0.2 if country == "NL" else 0.0)
        found.append(
            {
                "customer_id": f"{name}/{number}",
                "target": int(draw.random() < chance),
                "age": draw.choice([None, *range(18, 90)]),
                "visits": visits,
                "country": country,
            }
        )
    return found
