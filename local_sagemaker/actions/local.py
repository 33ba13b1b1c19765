"""The server's own action, which no AWS service has: a spot interruption."""

from __future__ import annotations

from local_sagemaker.actions.context import Context
from local_sagemaker.actions.registry import Action
from local_sagemaker.errors import ConflictException, ResourceNotFound, ValidationException
from local_sagemaker.store.jobs import TRAINING
from local_sagemaker.types import Request, Response


def interrupt_training_job(context: Context, request: Request) -> Response:
    """Interrupt a managed spot training job, which then restarts from its checkpoints."""
    name = request.get("TrainingJobName")
    if not isinstance(name, str):
        raise ValidationException("TrainingJobName must be a string.")
    row = context.db.read().execute("SELECT arn, status FROM jobs WHERE arn = ?", (TRAINING.arn(name),))
    found = row.fetchone()
    if found is None:
        raise ResourceNotFound(f"Training job '{name[:100]}' does not exist.")
    problem = context.engine.interrupt_job(found["arn"])
    if problem is not None:
        raise ConflictException(f"Training job '{name}' (status {found['status']}) cannot be interrupted: {problem}")
    return {}


LOCAL_ACTIONS: dict[str, Action] = {"InterruptTrainingJob": interrupt_training_job}
