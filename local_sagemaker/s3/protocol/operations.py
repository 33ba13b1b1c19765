"""Every operation of S3, identified by method, level, query and headers; which are supported, and what they accept.

A test compares the table with botocore's model. Operations with identical requests share a line: GetBucketLifecycle and
GetBucketLifecycleConfiguration, PutBucketLifecycle and PutBucketLifecycleConfiguration, the same for notifications, and
ListDirectoryBuckets and ListBuckets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from local_sagemaker.s3.errors import S3Error, not_implemented

_TABLE = """
GET    service -                           -                       ListBuckets
POST   service -     x-amz-request-route,x-amz-request-token WriteGetObjectResponse
PUT    bucket  -                           -                       CreateBucket
POST   bucket  metadataConfiguration       -                       CreateBucketMetadataConfiguration
POST   bucket  metadataTable               -                       CreateBucketMetadataTableConfiguration
GET    bucket  session                     -                       CreateSession
DELETE bucket  -                           -                       DeleteBucket
DELETE bucket  analytics&id                -                       DeleteBucketAnalyticsConfiguration
DELETE bucket  cors                        -                       DeleteBucketCors
DELETE bucket  encryption                  -                       DeleteBucketEncryption
DELETE bucket  intelligent-tiering&id      -                       DeleteBucketIntelligentTieringConfiguration
DELETE bucket  inventory&id                -                       DeleteBucketInventoryConfiguration
DELETE bucket  lifecycle                   -                       DeleteBucketLifecycle
DELETE bucket  metadataConfiguration       -                       DeleteBucketMetadataConfiguration
DELETE bucket  metadataTable               -                       DeleteBucketMetadataTableConfiguration
DELETE bucket  metrics&id                  -                       DeleteBucketMetricsConfiguration
DELETE bucket  ownershipControls           -                       DeleteBucketOwnershipControls
DELETE bucket  policy                      -                       DeleteBucketPolicy
DELETE bucket  replication                 -                       DeleteBucketReplication
DELETE bucket  tagging                     -                       DeleteBucketTagging
DELETE bucket  website                     -                       DeleteBucketWebsite
POST   bucket  delete                      -                       DeleteObjects
DELETE bucket  publicAccessBlock           -                       DeletePublicAccessBlock
GET    bucket  abac                        -                       GetBucketAbac
GET    bucket  accelerate                  -                       GetBucketAccelerateConfiguration
GET    bucket  acl                         -                       GetBucketAcl
GET    bucket  analytics&id                -                       GetBucketAnalyticsConfiguration
GET    bucket  cors                        -                       GetBucketCors
GET    bucket  encryption                  -                       GetBucketEncryption
GET    bucket  intelligent-tiering&id      -                       GetBucketIntelligentTieringConfiguration
GET    bucket  inventory&id                -                       GetBucketInventoryConfiguration
GET    bucket  lifecycle                   -                       GetBucketLifecycleConfiguration
GET    bucket  location                    -                       GetBucketLocation
GET    bucket  logging                     -                       GetBucketLogging
GET    bucket  metadataConfiguration       -                       GetBucketMetadataConfiguration
GET    bucket  metadataTable               -                       GetBucketMetadataTableConfiguration
GET    bucket  metrics&id                  -                       GetBucketMetricsConfiguration
GET    bucket  notification                -                       GetBucketNotificationConfiguration
GET    bucket  ownershipControls           -                       GetBucketOwnershipControls
GET    bucket  policy                      -                       GetBucketPolicy
GET    bucket  policyStatus                -                       GetBucketPolicyStatus
GET    bucket  replication                 -                       GetBucketReplication
GET    bucket  requestPayment              -                       GetBucketRequestPayment
GET    bucket  tagging                     -                       GetBucketTagging
GET    bucket  versioning                  -                       GetBucketVersioning
GET    bucket  website                     -                       GetBucketWebsite
GET    bucket  object-lock                 -                       GetObjectLockConfiguration
GET    bucket  publicAccessBlock           -                       GetPublicAccessBlock
HEAD   bucket  -                           -                       HeadBucket
GET    bucket  analytics                   -                       ListBucketAnalyticsConfigurations
GET    bucket  intelligent-tiering         -                       ListBucketIntelligentTieringConfigurations
GET    bucket  inventory                   -                       ListBucketInventoryConfigurations
GET    bucket  metrics                     -                       ListBucketMetricsConfigurations
GET    bucket  uploads                     -                       ListMultipartUploads
GET    bucket  versions                    -                       ListObjectVersions
GET    bucket  -                           -                       ListObjects
GET    bucket  list-type=2                 -                       ListObjectsV2
PUT    bucket  abac                        -                       PutBucketAbac
PUT    bucket  accelerate                  -                       PutBucketAccelerateConfiguration
PUT    bucket  acl                         -                       PutBucketAcl
PUT    bucket  analytics&id                -                       PutBucketAnalyticsConfiguration
PUT    bucket  cors                        -                       PutBucketCors
PUT    bucket  encryption                  -                       PutBucketEncryption
PUT    bucket  intelligent-tiering&id      -                       PutBucketIntelligentTieringConfiguration
PUT    bucket  inventory&id                -                       PutBucketInventoryConfiguration
PUT    bucket  lifecycle                   -                       PutBucketLifecycleConfiguration
PUT    bucket  logging                     -                       PutBucketLogging
PUT    bucket  metrics&id                  -                       PutBucketMetricsConfiguration
PUT    bucket  notification                -                       PutBucketNotificationConfiguration
PUT    bucket  ownershipControls           -                       PutBucketOwnershipControls
PUT    bucket  policy                      -                       PutBucketPolicy
PUT    bucket  replication                 -                       PutBucketReplication
PUT    bucket  requestPayment              -                       PutBucketRequestPayment
PUT    bucket  tagging                     -                       PutBucketTagging
PUT    bucket  versioning                  -                       PutBucketVersioning
PUT    bucket  website                     -                       PutBucketWebsite
PUT    bucket  object-lock                 -                       PutObjectLockConfiguration
PUT    bucket  publicAccessBlock           -                       PutPublicAccessBlock
PUT    bucket  metadataAnnotationTable     -                       UpdateBucketMetadataAnnotationTableConfiguration
PUT    bucket  metadataInventoryTable      -                       UpdateBucketMetadataInventoryTableConfiguration
PUT    bucket  metadataJournalTable        -                       UpdateBucketMetadataJournalTableConfiguration
DELETE object  uploadId                    -                       AbortMultipartUpload
POST   object  uploadId                    -                       CompleteMultipartUpload
PUT    object  -                           x-amz-copy-source       CopyObject
POST   object  uploads                     -                       CreateMultipartUpload
DELETE object  -                           -                       DeleteObject
DELETE object  annotation&annotationName   -                       DeleteObjectAnnotation
DELETE object  tagging                     -                       DeleteObjectTagging
GET    object  -                           -                       GetObject
GET    object  acl                         -                       GetObjectAcl
GET    object  annotation&annotationName   -                       GetObjectAnnotation
GET    object  attributes                  x-amz-object-attributes GetObjectAttributes
GET    object  legal-hold                  -                       GetObjectLegalHold
GET    object  retention                   -                       GetObjectRetention
GET    object  tagging                     -                       GetObjectTagging
GET    object  torrent                     -                       GetObjectTorrent
HEAD   object  -                           -                       HeadObject
GET    object  annotation                  -                       ListObjectAnnotations
GET    object  uploadId                    -                       ListParts
PUT    object  -                           -                       PutObject
PUT    object  acl                         -                       PutObjectAcl
PUT    object  annotation&annotationName   -                       PutObjectAnnotation
PUT    object  legal-hold                  -                       PutObjectLegalHold
PUT    object  retention                   -                       PutObjectRetention
PUT    object  tagging                     -                       PutObjectTagging
PUT    object  renameObject                x-amz-rename-source     RenameObject
POST   object  restore                     -                       RestoreObject
POST   object  select&select-type=2        -                       SelectObjectContent
PUT    object  encryption                  -                       UpdateObjectEncryption
PUT    object  partNumber&uploadId         -                       UploadPart
PUT    object  partNumber&uploadId         x-amz-copy-source       UploadPartCopy
"""
"""Columns: method, level, the query and headers that identify the operation, name."""


@dataclass(frozen=True)
class Operation:
    """One line of the table; `query` has names or name=value pairs."""

    name: str
    method: str
    level: str
    query: frozenset[str]
    headers: frozenset[str]

    def fits(self, query: Mapping[str, str], headers: Collection[str]) -> bool:
        """Whether a request with this method and level has everything that the operation requires."""
        for item in self.query:
            name, _, value = item.partition("=")
            if name not in query or (value and query[name] != value):
                return False
        return all(name in headers for name in self.headers)

    @cached_property
    def takes_query(self) -> frozenset[str]:
        """The query parameters that this supported operation accepts."""
        own = {item.partition("=")[0] for item in self.query}
        return SERVED[self.name][0] | own | _EVERY_QUERY | _SIGNATURE_QUERY

    @cached_property
    def takes_headers(self) -> frozenset[str]:
        """The x-amz-* headers that this supported operation accepts, user metadata excluded."""
        return SERVED[self.name][1] | self.headers | _EVERY_HEADER


_EVERY_QUERY = frozenset({"x-id"})
"""Newer SDKs send the operation's name in it."""
_SIGNATURE_QUERY = frozenset(
    {
        "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
        "X-Amz-Security-Token", "X-Amz-Content-Sha256", "AWSAccessKeyId", "Signature", "Expires",
        "x-amz-security-token",
    }
)  # fmt: skip
_EVERY_HEADER = frozenset(
    {
        "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-user-agent", "x-amz-api-version",
        "x-amz-decoded-content-length", "x-amz-trailer", "x-amz-sdk-checksum-algorithm", "x-amz-request-payer",
        "x-amz-expected-bucket-owner",
    }
)  # fmt: skip
_CHECKSUMS = frozenset(
    f"x-amz-checksum-{name}" for name in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256", "sha512", "md5")
)
_ACL = frozenset({"x-amz-acl"})
_NEW_OBJECT = _ACL | {
    "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-context", "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-storage-class", "x-amz-tagging",
}  # fmt: skip
"""In addition to x-amz-meta-*."""
_COPY = frozenset(
    {
        "x-amz-copy-source", "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match",
        "x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-unmodified-since",
        "x-amz-source-expected-bucket-owner",
    }
)  # fmt: skip
_RESPONSE = frozenset(
    f"response-{name}"
    for name in (
        "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
    )
)  # fmt: skip
_LIST = frozenset({"delimiter", "encoding-type", "max-keys", "prefix"})
_NONE: frozenset[str] = frozenset()

SERVED: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "ListBuckets": (frozenset({"max-buckets", "continuation-token", "prefix", "bucket-region"}), _NONE),
    "CreateBucket": (_NONE, _ACL | {"x-amz-bucket-object-lock-enabled", "x-amz-object-ownership"}),
    "DeleteBucket": (_NONE, _NONE),
    "HeadBucket": (_NONE, _NONE),
    "GetBucketLocation": (_NONE, _NONE),
    "GetBucketVersioning": (_NONE, _NONE),
    "GetBucketTagging": (_NONE, _NONE),
    "PutBucketTagging": (_NONE, _CHECKSUMS),
    "DeleteBucketTagging": (_NONE, _NONE),
    "ListObjects": (_LIST | {"marker"}, frozenset({"x-amz-optional-object-attributes"})),
    "ListObjectsV2": (
        _LIST | {"continuation-token", "fetch-owner", "start-after"}, frozenset({"x-amz-optional-object-attributes"}),
    ),
    "ListObjectVersions": (
        _LIST | {"key-marker", "version-id-marker"}, frozenset({"x-amz-optional-object-attributes"}),
    ),
    "DeleteObjects": (_NONE, _CHECKSUMS | {"x-amz-bypass-governance-retention"}),
    "ListMultipartUploads": (
        frozenset({"delimiter", "encoding-type", "key-marker", "max-uploads", "prefix", "upload-id-marker"}), _NONE,
    ),
    "PutObject": (_NONE, _NEW_OBJECT | _CHECKSUMS),
    "CopyObject": (
        _NONE,
        _NEW_OBJECT | _COPY | {"x-amz-metadata-directive", "x-amz-tagging-directive", "x-amz-checksum-algorithm"},
    ),
    "GetObject": (_RESPONSE | {"versionId", "partNumber"}, frozenset({"x-amz-checksum-mode"})),
    "HeadObject": (_RESPONSE | {"versionId", "partNumber"}, frozenset({"x-amz-checksum-mode"})),
    "GetObjectAttributes": (
        frozenset({"versionId"}),
        frozenset({"x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker"}),
    ),
    "DeleteObject": (frozenset({"versionId"}), frozenset({"x-amz-bypass-governance-retention"})),
    "GetObjectTagging": (frozenset({"versionId"}), _NONE),
    "PutObjectTagging": (frozenset({"versionId"}), _CHECKSUMS),
    "DeleteObjectTagging": (frozenset({"versionId"}), _NONE),
    "CreateMultipartUpload": (_NONE, _NEW_OBJECT | {"x-amz-checksum-algorithm", "x-amz-checksum-type"}),
    "UploadPart": (_NONE, _CHECKSUMS),
    "UploadPartCopy": (_NONE, _COPY | {"x-amz-copy-source-range"}),
    "CompleteMultipartUpload": (_NONE, _CHECKSUMS | {"x-amz-checksum-type", "x-amz-mp-object-size"}),
    "AbortMultipartUpload": (_NONE, _NONE),
    "ListParts": (frozenset({"max-parts", "part-number-marker"}), _NONE),
}  # fmt: skip
"""The supported operations: query names and x-amz-* headers that each accepts besides those that identify it."""
_METADATA_OPERATIONS = ("PutObject", "CopyObject", "CreateMultipartUpload")


@cache
def operations() -> tuple[Operation, ...]:
    """All operations, those with the most requirements first."""
    found = []
    for line in _TABLE.split("\n"):
        if line:
            method, level, query, headers, name = line.split()
            needs = [frozenset(text.split(mark)) - {"-"} for text, mark in ((query, "&"), (headers, ","))]
            found.append(Operation(name, method, level, *needs))
    return tuple(sorted(found, key=lambda operation: -len(operation.query) - len(operation.headers)))


@cache
def _operations_of(method: str, level: str) -> tuple[Operation, ...]:
    return tuple(operation for operation in operations() if (operation.method, operation.level) == (method, level))


def operation_of(method: str, level: str, query: Mapping[str, str], headers: Collection[str]) -> Operation:
    """The operation of a request; MethodNotAllowed if there is none."""
    for operation in _operations_of(method, level):
        if operation.fits(query, headers):
            return operation
    if (method, level) == ("POST", "bucket"):
        raise not_implemented("PostObject, the upload from a browser's form,")
    raise S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.", {"Method": method})


def check_served(operation: Operation, query: Collection[str], headers: Collection[str]) -> None:
    """Raise NotImplemented for an operation, query parameter or header that is not supported; it names it."""
    if operation.name not in SERVED:
        raise not_implemented(f"The operation {operation.name}")
    for name in query:
        if name not in operation.takes_query:
            raise not_implemented(f"The query parameter '{name[:100]}' of {operation.name}")
    for name in headers:
        if not name.startswith("x-amz-") or name in operation.takes_headers:
            continue
        if name.startswith("x-amz-meta-") and operation.name in _METADATA_OPERATIONS:
            continue
        raise not_implemented(f"The header '{name[:100]}' of {operation.name}")
