"""An auth manager with rights per DAG, which SimpleAuthManager does not know: for the test that the pages obey them."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

CLOSED = ("reader", "pages_training")
"""This user may read every DAG but this one."""


NARROW = "narrow"
"""This user may read XComs, but neither runs nor task logs."""


class PerDagAuthManager(SimpleAuthManager):
    """SimpleAuthManager, with one DAG closed to one user, and what lies below DAGs to another."""

    def is_authorized_dag(self, *, user: Any, details: Any = None, **asked: Any) -> bool:
        """Whether the user may do what is asked with the DAG that `details` names."""
        if details is not None and (user.get_name(), details.id) == CLOSED:
            return False
        if user.get_name() == NARROW and asked.get("access_entity") in (DagAccessEntity.RUN, DagAccessEntity.TASK_LOGS):
            return False
        return bool(super().is_authorized_dag(user=user, details=details, **asked))
