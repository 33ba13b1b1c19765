"""Configuration files, for the command line, `from_yaml` and the operator."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sagemaker.config.strict_model import is_template
from airflow_sagemaker.exceptions import ConfigurationError, Violation
from airflow_sagemaker.types import JsonObject

if TYPE_CHECKING:
    import yaml


def file_label(path: str | os.PathLike[str]) -> str:
    """Return the name of a configuration file in errors."""
    return f"configuration file {os.fspath(path)}"


def read_yaml(path: str | os.PathLike[str], render: Callable[[JsonObject], JsonObject] | None = None) -> JsonObject:
    """Return the settings in a YAML file; `source_dir` is relative to the file.

    `render` renders their templates. Raises ConfigurationError with the file's name if it contains no settings.
    """
    import yaml

    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _yaml_loader())  # noqa: S506 - a SafeLoader
    except OSError as error:
        problem = Violation("file", os.fspath(path), error.strerror or str(error))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = Violation("file", os.fspath(path), f"is not valid YAML: {error}")
    else:
        if isinstance(content, dict):
            settings = content if render is None else render(content)
            named = settings.get("source_dir")
            if isinstance(named, str) and named and not is_template(named):
                settings["source_dir"] = str(Path(path).parent / named)  # an absolute one is unchanged
            return settings
        problem = Violation("file", content, "must be a mapping of names to values")
    raise ConfigurationError([problem], what=file_label(path))


MAX_DEPTH = 50
MAX_NODES = 100_000
"""More than any configuration needs, but so few that nested aliases can neither take seconds nor fill the memory."""


def _yaml_loader() -> type[yaml.SafeLoader]:
    """Return YAML's safe loader with limits, and with errors for duplicate keys."""
    import yaml

    class Loader(yaml.SafeLoader):
        def __init__(self, stream: str) -> None:
            super().__init__(stream)
            self._depth = 0
            self._nodes: dict[int, int] = {}  # number of nodes of each one, with aliases expanded

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            self._depth += 1
            if self._depth > MAX_DEPTH:
                self._refuse(f"nested more than {MAX_DEPTH} levels deep")
            node = super().compose_node(parent, index)
            self._depth -= 1
            if node is not None and id(node) not in self._nodes:
                self._nodes[id(node)] = 1 + sum(self._nodes[id(inner)] for inner in _inner_nodes(node))
                if self._nodes[id(node)] > MAX_NODES:
                    self._refuse(f"more than {MAX_NODES:,} values")
            return node

        def _refuse(self, problem: str) -> None:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, problem, mark)

        def compose_mapping_node(self, anchor: dict[object, yaml.Node]) -> yaml.MappingNode:
            node = super().compose_mapping_node(anchor)
            names: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in names:
                    raise yaml.composer.ComposerError(None, None, f"duplicate key {key.value!r}", key.start_mark)
                names.add(key.value if isinstance(key, yaml.ScalarNode) else "")
            return node

    return Loader


def _inner_nodes(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node.value, str):
        return []
    return [inner for item in node.value for inner in (item if isinstance(item, tuple) else (item,))]
