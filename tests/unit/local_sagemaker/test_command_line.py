"""What `python -m local_sagemaker` says when it cannot start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner


def test_a_missing_dependency_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from local_sagemaker.__main__ import app

    absent: Any = None
    monkeypatch.setitem(sys.modules, "waitress", absent)
    result = CliRunner().invoke(app, ["serve", "--data-dir", str(tmp_path), "--port", "0"])
    assert result.exit_code == 1
    assert "'waitress' is not installed: pip install \".[local]\"" in result.output
