"""Reads and writes S3's XML documents."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from local_sagemaker.s3.errors import S3Error

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ufffe\uffff]")

Node = tuple[str, "str | int | bool | Iterable[Node] | None"]
"""An element: its name, and its text or child nodes. An element with None is omitted."""


def document(root: str, children: Iterable[Node], *, namespace: str | None = NAMESPACE) -> bytes:
    """A complete document."""
    attribute = f' xmlns="{namespace}"' if namespace else ""
    content = "".join(_element(name, value) for name, value in children)
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{attribute}>{content}</{root}>'
    return text.encode("utf-8", "replace")


def _element(name: str, value: str | int | bool | Iterable[Node] | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        content = "true" if value else "false"
    elif isinstance(value, str | int):
        content = _CONTROLS.sub(lambda found: f"&#{ord(found[0])};", escape(str(value)))
    else:
        content = "".join(_element(*child) for child in value)
    return f"<{name}>{content}</{name}>"


def parse(body: bytes | bytearray, root: str) -> ElementTree.Element:
    """Parse a body whose root has this name, and remove namespaces; MalformedXML."""
    try:
        if b"<!DOCTYPE" in body[:1024]:  # rejects entities, which may expand without limit or read files
            raise ValueError
        element = ElementTree.fromstring(bytes(body))  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError):
        raise malformed() from None
    for node in element.iter():
        node.tag = node.tag.rpartition("}")[2]
    if element.tag != root:
        raise malformed()
    return element


def text_of(element: ElementTree.Element, name: str) -> str:
    """The text of a required child; MalformedXML if it is missing."""
    found = element.find(name)
    if found is None:
        raise malformed()
    return found.text or ""


def malformed() -> S3Error:
    """The error for a body that the operation does not accept."""
    text = "The XML you provided was not well-formed or did not validate against our published schema"
    return S3Error("MalformedXML", text)
