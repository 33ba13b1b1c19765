"""The service's own published example of a body signed chunk by chunk."""

from __future__ import annotations

import pytest

from local_sagemaker.s3.errors import S3Error
from local_sagemaker.s3.protocol.authentication import Caller, signing_key
from local_sagemaker.s3.protocol.chunked import Decoder

SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
SIGNATURES = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)
CHUNKS = (b"a" * 65536, b"a" * 1024, b"")


def encoded(signatures: tuple[str, ...] = SIGNATURES, chunks: tuple[bytes, ...] = CHUNKS) -> bytes:
    return b"".join(
        f"{len(chunk):x};chunk-signature={signature}\r\n".encode() + chunk + b"\r\n"
        for chunk, signature in zip(chunks, signatures, strict=True)
    )


def decode(body: bytes, size: int) -> bytes:
    caller = Caller(
        "us-east-1",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        SEED,
        signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1"),
        "20130524T000000Z",
        "20130524/us-east-1/s3/aws4_request",
    )
    decoder = Decoder(caller)
    pieces = [body[position : position + size] for position in range(0, len(body), size)]
    content = b"".join(bytes(part) for piece in pieces for part in decoder.feed(piece))
    decoder.finish()
    return content


@pytest.mark.parametrize("size", [1, 7, 1000, 65536, 10**6])
def test_the_published_example(size: int) -> None:
    assert decode(encoded(), size) == b"a" * 66560


@pytest.mark.parametrize(
    "body",
    [
        encoded(signatures=(SIGNATURES[1], SIGNATURES[0], SIGNATURES[2])),
        encoded(chunks=(CHUNKS[0][:-1] + b"b", CHUNKS[1], b"")),
        encoded()[: -2 - 85],
        encoded().replace(b"chunk-signature", b"chunk-signed"),
        encoded().replace(b"10000;", b"-1;"),
        b"x" * 20_000,
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(S3Error):
        decode(body, 1000)
