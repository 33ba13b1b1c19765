"""The objects of a channel or processing input, by the service's rules and with its messages."""

from __future__ import annotations

from local_sagemaker.jobs.transfer.s3 import S3, Download, S3Problem, S3Uri
from local_sagemaker.types import JsonObject


def plan(s3: S3, source: JsonObject, *, region: str, role: str) -> list[Download]:
    """List the objects of an S3DataSource or S3Input; S3Problem if there are none.

    The message is that of the service's CreateTrainingJob (aws/amazon-sagemaker-examples issues 2267 and 2489), with
    the service's prefix for a failed download.
    """
    uri = S3Uri.parse(source["S3Uri"])
    manifest = source.get("S3DataType") == "ManifestFile"
    found = s3.manifest_downloads(uri) if manifest else s3.prefix_downloads(uri)
    if not found:
        raise S3Problem(
            f'ClientError: Data download failed:No S3 objects found under S3 URL "{source["S3Uri"]}" given in '
            f"input data source. Please ensure that the bucket exists in the selected region ({region}), that objects "
            f'exist under that S3 prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket '
            f'"{uri.bucket}".'
        )
    return found


def share(source: JsonObject, found: list[Download], index: int, hosts: int) -> list[Download]:
    """The objects for host number `index`: all, or its share with ShardedByS3Key."""
    if source.get("S3DataDistributionType") == "ShardedByS3Key":
        return found[index::hosts]
    return found
