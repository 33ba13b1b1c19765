"""What botocore's own model of SageMaker may not know yet: pipeline version aliases and the selected instance type.

Both came with botocore 1.44; Airflow's constraint files and MWAA's images name older ones, which refuse a parameter
that they do not know before anything is sent, and drop it from an answer. botocore merges `service-2.sdk-extras.json`
from any folder on its loader's search path into the model, which is how this package adds the shapes to the sessions
that it makes itself. The sessions of other code in the process are left alone, and with a botocore that knows both the
merge changes nothing (a test compares them).

`python -m airflow_sagemaker.aws.model_overlay.refresh` writes the file again from the installed botocore.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boto3 import Session

FOLDER = Path(__file__).parent
"""A search path of botocore's loader: `sagemaker/2017-07-24/service-2.sdk-extras.json` below it."""


def add_overlay(session: Session) -> Session:
    """Return the boto3 session, whose clients made from now on know what the overlay adds."""
    loader = session._session.get_component("data_loader")  # boto3 adds its own folder to it in the same way
    if str(FOLDER) not in loader.search_paths:
        loader.search_paths.insert(0, str(FOLDER))
    return session
