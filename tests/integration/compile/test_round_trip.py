"""Every type of hyperparameter, with the worst of values, as the program in the container gets it; the step cache."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from airflow_sagemaker import ModelHyperparameters, PytorchTrainingConfig
from airflow_sagemaker.definition.compiler import compile_pipeline
from tests.support.deployed import Deployed

NAME = "round-trip"
BAD = "it's \"é\" $(id) `x` \\ ☃ 'a' \\n %s {} ${HOME} !! # ;&|<>*?~"
LISTS: dict[str, Any] = {
    "full_field_list": [
        "id",
        "target",
        BAD,
        "123",
        "true",
        "null",
        " two  spaces ",
        "--epochs",
        "😀" * 20,
        *(f"column_{number:04}" for number in range(60)),
    ],
    "tab_field_list": [BAD, "123", "true", "null"],
    "cat_field_list": [" two  spaces ", "--epochs", "😀" * 20],
}


ENVIRONMENT = {"ODD": BAD, "LINES": "two\nlines\t", "NUMBER": "123", "JSON": '{"a": "b"}', "LONG": "é" * 512}


class Everything(ModelHyperparameters):
    """One field of each type that can be carried."""

    text: str = ""
    number: float = 0.0
    count: int = 0
    switch: bool = False
    perhaps: str | None = None
    words: tuple[str, ...] = (BAD, "", "1", "null", "two\nlines\tand a tab")
    numbers: tuple[float, ...] = (1e-300, -0.5, 3.0)
    switches: tuple[bool, ...] = (True, False)
    counts: tuple[int, ...] = tuple(range(200))


VALUES: list[dict[str, Any]] = [
    {"text": BAD, "number": 1e-300, "count": -(2**63), "switch": True, "perhaps": "null"},
    {"text": "123", "number": 5e-324, "count": 2**53 + 1, "perhaps": ""},
    {"text": "true", "number": -1e16, "switch": True, "perhaps": '{"a": [1]}'},
    {"text": "two\nlines\r\nand a\ttab\n", "number": 0.1, "perhaps": " spaces "},
    {"text": "é☃😀" * 40, "number": 3.0, "perhaps": "--epochs=5 -x"},
]

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), include_characters="\n\t\r"), max_size=80)
drawn_values = st.fixed_dictionaries(
    {
        "text": texts,
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "count": st.integers(-(2**63), 2**63),
        "switch": st.booleans(),
        "perhaps": st.none() | texts,
        "learning_rate": st.floats(1e-12, 1e3),
        "seed": st.integers(0, 2**63 - 1),
    }
)


def drawn(count: int) -> list[dict[str, Any]]:
    """Values that hypothesis thought up, the same at every run; the first ones are the simplest."""
    found: list[dict[str, Any]] = []

    @settings(max_examples=40, derandomize=True, database=None, phases=[Phase.generate], deadline=None)
    @given(drawn_values)
    def collect(values: dict[str, Any]) -> None:
        found.append(values)

    collect()
    return sorted(found, key=lambda values: len(set(values["text"])))[-count:]


def test_what_the_configuration_says_is_what_the_program_gets(
    config: PytorchTrainingConfig, local_sagemaker: Any, tmp_path: Path
) -> None:
    configs = [
        config.updated(
            bucket=NAME,
            pipeline_name=NAME,
            distribution="none",
            environment=ENVIRONMENT,
            step_cache_expires_after="P1D",
            hyperparameters=Everything(id_name="id", label_name="target", **LISTS, **values),
        )
        for values in [*VALUES, *drawn(4)]
    ]
    pipeline = Deployed(local_sagemaker, configs[0])
    started = [pipeline.start(one) for one in configs]
    for one, arn in zip(configs, started, strict=True):
        seen = json.loads(pipeline.model_file(pipeline.trained(arn), "seen.json"))
        expected = one.hyperparameters.model_dump(mode="json")
        assert seen["fields"] is None  # the lists fit into hyperparameters here
        assert seen["hps"] == expected
        assert {name: type(value) for name, value in seen["hps"].items()} == {
            name: type(value) for name, value in expected.items()
        }
        assert seen["environment"]["SM_HP_TEXT"] == expected["text"]
        assert {name: seen["environment"][name] for name in ENVIRONMENT} == ENVIRONMENT

    # The same once more, from a copy of the sources elsewhere: the step cache has it.
    copy = tmp_path / "elsewhere"
    shutil.copytree(config.source_dir, copy, copy_function=shutil.copyfile)
    again = configs[3].updated(source_dir=str(copy))
    assert compile_pipeline(again).digest == compile_pipeline(configs[3]).digest
    hit = pipeline.trained(pipeline.start(again))
    assert hit["CacheHitResult"] == {"SourcePipelineExecutionArn": started[3]}
