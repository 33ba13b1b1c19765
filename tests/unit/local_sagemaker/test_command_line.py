"""What `python -m local_sagemaker` says when it cannot start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.__main__ import main


def test_a_missing_dependency_names_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent: Any = None
    monkeypatch.setitem(sys.modules, "waitress", absent)
    assert main(["serve", "--data-dir", str(tmp_path), "--port", "0"]) == 1
    assert "'waitress' is not installed: pip install \".[local]\"" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--port", "99999", "'99999' is not a port from 0 to 65535"),
        ("--s3-port", "-1", "'-1' is not a port"),
        ("--max-jobs", "two", "'two' is not a number of 0 or more"),
        ("--stop-grace", "nan", "'nan' is not a number of 0 or more"),
        ("--throttle", "-1", "'-1' is not a number of 0 or more"),
        ("--job-python", "/no/such/python", "'/no/such/python' is not an executable program"),
        ("--package-index", "pypi", "'pypi' is not an http or https URL"),
    ],
)
def test_wrong_values_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, named: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--data-dir", str(tmp_path), f"{option}={value}"])
    assert caught.value.code == 2
    assert f"argument {option}: {named}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve --port 0", "env", "gc", "interrupt job"])
def test_a_data_folder_that_is_a_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    name, *more = command.split()
    assert main([name, "--data-dir", str(file), *more]) == 1
    told = capsys.readouterr().err
    assert told.startswith("local_sagemaker: ")
    assert str(file) in told
    assert len(told.splitlines()) == 1
    assert file.read_text() == "kept"


def test_help_and_version_name_the_command_that_was_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for script, name in (("/usr/bin/local-sagemaker", "local-sagemaker"), ("__main__.py", "python -m local_sagemaker")):
        monkeypatch.setattr(sys, "argv", [script])
        for arguments, beginning in (["serve", "--help"], f"usage: {name} serve"), (["--version"], "local-sagemaker 0"):
            with pytest.raises(SystemExit) as caught:
                main(arguments)
            printed = capsys.readouterr().out
            assert caught.value.code == 0
            assert printed.startswith(beginning)
            assert "(default: None)" not in printed
