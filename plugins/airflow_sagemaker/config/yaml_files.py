"""Configuration files: one reader for the command line, `from_yaml` and the operator."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_sagemaker.config.strict_model import is_template
from airflow_sagemaker.exceptions import ConfigurationError, Violation


def file_label(path: str | os.PathLike[str]) -> str:
    """Return how errors name a configuration file."""
    return f"configuration file {os.fspath(path)}"


def read_yaml(
    path: str | os.PathLike[str], render: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Return the settings in a YAML file; a relative `source_dir` is one beside the file, whoever reads it.

    `render` fills in the templates of what was read. Raises ConfigurationError, naming the file, when there are no
    settings.
    """
    import yaml

    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _yaml_loader())  # noqa: S506 - a SafeLoader
    except OSError as error:
        problem = Violation("file", os.fspath(path), error.strerror or str(error))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = Violation("file", os.fspath(path), f"is no valid YAML: {error}")
    else:
        if isinstance(content, dict):
            settings = content if render is None else render(content)
            named = settings.get("source_dir")
            if isinstance(named, str) and named and not is_template(named):
                settings["source_dir"] = str(Path(path).parent / named)  # an absolute one stays as it is
            return settings
        problem = Violation("file", content, "must be a mapping of names to values")
    raise ConfigurationError([problem], what=file_label(path))


def _yaml_loader() -> Any:
    """Return YAML's safe loader, but for one thing: a duplicate key is an error, not a value that is lost."""
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            names: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in names:
                    raise yaml.composer.ComposerError(None, None, f"{key.value} stands twice", key.start_mark)
                names.add(key.value if isinstance(key, yaml.ScalarNode) else "")
            return node

    return Loader
