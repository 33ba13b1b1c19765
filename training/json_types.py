"""The type of JSON objects whose values a reader must know: hyperparameters, preprocess.json, report.json."""

from __future__ import annotations

from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
