"""Facts about SageMaker kept as data, so that validation needs neither the SDK, botocore's model nor a network.

`python -m airflow_sagemaker.config.data.refresh` writes them again from the installed botocore and SDK; a test compares
them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from airflow_sagemaker.types import JsonObject


@cache
def load_data(name: str) -> JsonObject:
    """Return the content of `<name>.json` in this folder."""
    content: JsonObject = json.loads(files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return content
