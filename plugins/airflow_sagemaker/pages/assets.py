"""The pages' static files: read once; their common digest is in their URLs, so that browsers can cache them forever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from airflow_sagemaker import contract

FOLDER = Path(__file__).parent / "static"
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """One static file."""

    content: bytes
    media_type: str


@dataclass(frozen=True)
class Assets:
    """All static files by their path below static/, and the digest in their URLs."""

    files: dict[str, Asset]
    pages: dict[str, str]
    digest: str


@cache
def load_assets() -> Assets:
    """Read static/ and generate contract.js. The HTML files are separate, because they have their own URLs."""
    files: dict[str, Asset] = {}
    pages: dict[str, str] = {}
    script = f"// Made from contract.py.\nexport const CONTRACT = {contract.as_json()};\n"
    files["contract.js"] = Asset(script.encode(), MEDIA_TYPES[".js"])
    tree = hashlib.sha256(script.encode())
    for path in sorted(FOLDER.rglob("*")):
        name = path.relative_to(FOLDER).as_posix()
        if path.suffix == ".html":
            pages[path.stem] = path.read_text(encoding="utf-8")
        elif path.suffix in MEDIA_TYPES:
            files[name] = Asset(path.read_bytes(), MEDIA_TYPES[path.suffix])
            tree.update(name.encode() + b"\0" + files[name].content + b"\0")
    return Assets(files, pages, tree.hexdigest()[:16])
