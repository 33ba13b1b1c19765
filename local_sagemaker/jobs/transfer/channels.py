"""Which objects a channel or a processing input brings, in the service's rules and words."""

from __future__ import annotations

from local_sagemaker.jobs.transfer.s3 import S3, Download, S3Problem, S3Uri
from local_sagemaker.types import JsonObject


def plan(s3: S3, source: JsonObject, *, region: str, role: str) -> list[Download]:
    """List what an S3DataSource or S3Input brings; S3Problem when it matches nothing.

    The text is CreateTrainingJob's of the service (aws/amazon-sagemaker-examples issues 2267 and 2489), behind the
    prefix that a failed download has there.
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
    """Pick what host number `index` gets: everything, or its part of ShardedByS3Key."""
    if source.get("S3DataDistributionType") == "ShardedByS3Key":
        return found[index::hosts]
    return found
