"""What goes wrong with data. Every message is one line that names what was found and what was expected.

PreprocessingError          root: catch this one
├── WindowError             a partition or window that cannot be served: no date, too early, splits that do not fit
├── RawDataError            a raw file that is empty, truncated, or has wrong columns
│   └── MissingDataError    a raw date that is not there (yet)
├── TableError              the built table cannot be trained on: no rows, a label with one class
│   └── ChecksError         data checks fail; `checks` holds all findings
└── EngineError             the chosen engine is not installed
ConflictError               not among them: another run wrote the same partition at once; trying again heals it
"""

from __future__ import annotations

from preprocessing.json_types import JsonObject


class PreprocessingError(Exception):
    """Anything wrong with a partition or its data; retrying without new data will not help."""


class ConflictError(Exception):
    """Another run has written the same partition at the same time."""


class WindowError(PreprocessingError):
    """The partition key or its window cannot be served."""


class RawDataError(PreprocessingError):
    """A raw file is missing or not what it should be."""


class MissingDataError(RawDataError):
    """Raw dates of the window are not there: late, or never to come."""


class TableError(PreprocessingError):
    """The built table cannot be trained on."""


class ChecksError(TableError):
    """Data checks fail."""

    def __init__(self, message: str, checks: list[JsonObject]) -> None:
        super().__init__(message)
        self.checks = checks
        """Every finding (see `quality.checks.Finding`), the failing ones with `ok` false."""


class EngineError(PreprocessingError):
    """The chosen engine is not installed."""
