"""XML as S3 writes and reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from local_sagemaker.s3.errors import S3Error

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ufffe\uffff]")

Node = tuple[str, "str | int | bool | Iterable[Node] | None"]
"""A name with a text, with further nodes, or with None: left out."""


def document(root: str, children: Iterable[Node], *, namespace: str | None = NAMESPACE) -> bytes:
    """A whole document."""
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
    """Read a body whose root has this name; namespaces are taken off. MalformedXML."""
    try:
        if b"<!DOCTYPE" in body[:1024]:  # entities that grow, or name files
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
    """The text of a child that must be there; MalformedXML."""
    found = element.find(name)
    if found is None:
        raise malformed()
    return found.text or ""


def malformed() -> S3Error:
    """The refusal of a body that is not what the operation takes."""
    text = "The XML you provided was not well-formed or did not validate against our published schema"
    return S3Error("MalformedXML", text)
