"""Requests of tuning jobs: rules that are not in the service's model, and the resulting training jobs' requests."""

from __future__ import annotations

from collections.abc import Iterator

from local_sagemaker.expressions.values import is_expression, known_structure
from local_sagemaker.tuning import ranges
from local_sagemaker.tuning.strategies import BAYESIAN, GRID, has_optuna
from local_sagemaker.types import Request

CREATE = "CreateHyperParameterTuningJob"
_MOST_JOBS = {BAYESIAN: 750}
_MOST_JOBS_OTHERWISE = 10_000
_MOST_AT_ONCE = 100
"""The highest quotas that the service allows."""
_OWN_RESOURCES = "HyperParameterTuningResourceConfig"
"""SDK v2 sends this member instead of ResourceConfig."""
_OWN_MEMBERS = ("DefinitionName", "StaticHyperParameters", _OWN_RESOURCES)
"""The members of a TrainingJobDefinition that a CreateTrainingJob request does not have."""


def training_definition(request: Request) -> Request | None:
    """The common part of the training jobs' CreateTrainingJob requests; None if it is an expression."""
    found = request.get("TrainingJobDefinition")
    if not isinstance(found, dict) or is_expression(found):
        return None
    resources = {"ResourceConfig": found[_OWN_RESOURCES]} if _OWN_RESOURCES in found else {}
    return {key: value for key, value in found.items() if key not in _OWN_MEMBERS} | resources


def objective_of(request: Request) -> dict[str, str]:
    """Type and MetricName of a checked request's objective."""
    found: dict[str, str] = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    return found


def number_of_trials(request: Request) -> int:
    """The number of training jobs of a checked request."""
    config = request["HyperParameterTuningJobConfig"]
    if config["Strategy"] == GRID:
        return ranges.count_combinations(config["ParameterRanges"])
    return int(config["ResourceLimits"]["MaxNumberOfTrainingJobs"])


def training_request(request: Request, name: str, values: dict[str, str]) -> Request:
    """The CreateTrainingJob request of a trial."""
    fixed = request["TrainingJobDefinition"].get("StaticHyperParameters") or {}
    found = (training_definition(request) or {}) | {
        "TrainingJobName": name,
        # the service passes the objective to the program (sagemaker-training uses this name)
        "HyperParameters": {**fixed, **values, "_tuning_objective_metric": objective_of(request)["MetricName"]},
    }
    if request.get("Tags"):
        found["Tags"] = request["Tags"]
    if found.get("CheckpointConfig"):  # a separate folder, or one trial would resume from another's checkpoint
        place = found["CheckpointConfig"]["S3Uri"].rstrip("/")
        found["CheckpointConfig"] = found["CheckpointConfig"] | {"S3Uri": f"{place}/{name}"}
    return found


def example_training_request(request: Request) -> Request:
    """The request of a trial in the middle of all ranges, for checks before the first trial."""
    values = {
        item.name: item.values[0] if isinstance(item, ranges.CategoricalRange) else item.at(0.5)
        for item in ranges.parse(request["HyperParameterTuningJobConfig"]["ParameterRanges"])
    }
    return training_request(request, f"{request['HyperParameterTuningJobName']}-001-00000000", values)


def unsupported(request: Request) -> Iterator[str]:
    """Yield a message for each unsupported value."""
    strategy = known_structure(request.get("HyperParameterTuningJobConfig")).get("Strategy")
    if strategy == "Hyperband":
        yield (
            "HyperParameterTuningJobConfig.Strategy Hyperband is not supported by the local SageMaker: use Bayesian,"
            " Random or Grid"
        )
    elif strategy == BAYESIAN and not has_optuna():
        yield (
            "HyperParameterTuningJobConfig.Strategy Bayesian is not supported by the local SageMaker as it was"
            " installed: pip install optuna, or use Random or Grid"
        )


def broken_rules(request: Request) -> Iterator[str]:
    """Yield a message for each of the service's rules that a request breaks; expressions are skipped."""
    config = request.get("HyperParameterTuningJobConfig")
    if not isinstance(config, dict) or is_expression(config):
        return
    searched = config.get("ParameterRanges")
    if searched is None:
        yield "ParameterRanges must be specified."
    elif isinstance(searched, dict) and not is_expression(searched):
        yield from ranges.problems(searched)
    yield from _limits(config)
    if "TrainingJobDefinition" not in request:
        yield "TrainingJobDefinition must be specified."
    definition = known_structure(request.get("TrainingJobDefinition"))
    if definition:
        if ("ResourceConfig" in definition) == (_OWN_RESOURCES in definition):
            yield f"Exactly one of ResourceConfig and {_OWN_RESOURCES} must be specified in TrainingJobDefinition."
        yield from _objective(config, definition)
        yield from _overlap(known_structure(searched), known_structure(definition.get("StaticHyperParameters")))


def _limits(config: Request) -> Iterator[str]:
    limits, searched = known_structure(config.get("ResourceLimits")), known_structure(config.get("ParameterRanges"))
    number, at_once = limits.get("MaxNumberOfTrainingJobs"), limits.get("MaxParallelTrainingJobs")
    strategy = config.get("Strategy")
    if strategy == GRID:
        yield from _grid(number, searched)
    elif number is None and isinstance(strategy, str):
        yield f"MaxNumberOfTrainingJobs must be specified for the strategy {strategy}."
    most = _MOST_JOBS.get(str(strategy), _MOST_JOBS_OTHERWISE)
    if isinstance(number, int) and number > most:
        yield f"MaxNumberOfTrainingJobs {number} is more than the {most} that the strategy {strategy} can have."
    if isinstance(at_once, int) and at_once > _MOST_AT_ONCE:
        yield f"MaxParallelTrainingJobs {at_once} is more than the {_MOST_AT_ONCE} that a tuning job can have."


def _grid(number: object, searched: Request) -> Iterator[str]:
    if ranges.has_numbers(searched):
        yield "The strategy Grid accepts only categorical hyperparameters, no integer or continuous ranges."
        return
    lists = [item.get("Values") for item in searched.get("CategoricalParameterRanges") or [] if isinstance(item, dict)]
    if not lists or not all(_are_texts(values) for values in lists):
        return  # rejected elsewhere, or an expression
    there = ranges.count_combinations(searched)
    if there > _MOST_JOBS_OTHERWISE:
        yield f"The strategy Grid has {there} combinations here, at most {_MOST_JOBS_OTHERWISE} are possible."
    elif isinstance(number, int) and number != there:
        yield f"MaxNumberOfTrainingJobs {number} must equal the number of Grid combinations, {there}; or omit it."


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _objective(config: Request, definition: Request) -> Iterator[str]:
    objective = config.get("HyperParameterTuningJobObjective")
    if objective is None:
        yield "HyperParameterTuningJobObjective must be specified."
        return
    metric = known_structure(objective).get("MetricName")
    algorithm = definition.get("AlgorithmSpecification")
    if not isinstance(metric, str) or not isinstance(algorithm, dict) or is_expression(algorithm):
        return
    defined = algorithm.get("MetricDefinitions") or []
    if isinstance(defined, list) and all(isinstance(item, dict) and not is_expression(item) for item in defined):
        known = [item.get("Name") for item in defined]
        if metric not in known and all(isinstance(name, str) for name in known):
            yield (
                f"The objective metric '{metric}' must be one of TrainingJobDefinition.AlgorithmSpecification"
                f".MetricDefinitions, found {', '.join(known) or 'none'}."
            )


def _overlap(searched: Request, fixed: Request) -> Iterator[str]:
    if both := sorted(ranges.names(searched) & fixed.keys()):
        yield f"Hyperparameters cannot be both in ParameterRanges and in StaticHyperParameters: {', '.join(both)}."
