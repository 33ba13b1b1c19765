"""Errors about data. Each message is one line that names what was found and what was expected.

PreprocessingError          base class: retrying without new data does not help
├── WindowError             the partition is not a date or too early, or the splits do not fit into the window
├── RawDataError            a raw file is empty, truncated, or has wrong columns
│   └── MissingDataError    raw dates are missing (perhaps only late)
├── TableError              the built table cannot be trained on: no rows, a label with one class
│   └── ChecksError         data checks failed; `checks` has all findings
└── EngineError             the chosen engine is not installed
ConflictError               another run wrote the same partition at the same time: a retry helps
"""

from __future__ import annotations

from preprocessing.json_types import JsonObject


class PreprocessingError(Exception):
    """A partition or its data cannot be used; retrying without new data does not help."""


class ConflictError(Exception):
    """Another run wrote the same partition at the same time."""


class WindowError(PreprocessingError):
    """The partition is not a date or too early, or the splits do not fit into the window."""


class RawDataError(PreprocessingError):
    """A raw file is missing or not what was expected."""


class MissingDataError(RawDataError):
    """Raw dates of the window are missing, perhaps only late."""


class TableError(PreprocessingError):
    """The built table cannot be trained on."""


class ChecksError(TableError):
    """Data checks failed."""

    def __init__(self, message: str, checks: list[JsonObject]) -> None:
        super().__init__(message)
        self.checks = checks
        """All findings (see `quality.checks.Finding`); `ok` is false for those that failed."""


class EngineError(PreprocessingError):
    """The chosen engine is not installed."""
