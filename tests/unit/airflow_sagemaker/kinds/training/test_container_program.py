"""The reason that the container's driver leaves: the program's own, whatever it ran under."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_sagemaker

PROGRAM = Path(airflow_sagemaker.__file__).parent / "kinds" / "training" / "container_program.py"
DRIVER = """
import runpy, sys
run = runpy.run_path(sys.argv[1])["execute_commands"]
code, reason = run(sys.argv[2:])
open("reason", "w").write(reason)
sys.exit(code)
"""


def run(folder: Path, script: str, *launcher: str) -> tuple[int, str, list[str]]:
    """Run a script as the driver does; return exit code, reason and log."""
    (folder / "script.py").write_text(script)
    command = [sys.executable, "-c", DRIVER, str(PROGRAM), sys.executable, *launcher, "script.py"]
    env = {**os.environ, "SM_OUTPUT_FAILURE": str(folder / "failure")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, (folder / "reason").read_text(), done.stdout.splitlines()


def test_a_program_that_succeeds_has_no_reason(tmp_path: Path) -> None:
    assert run(tmp_path, "print('done')") == (0, "", ["done"])


def test_the_reason_is_the_programs_own_exception(tmp_path: Path) -> None:
    script = "def load():\n    raise KeyError('price')\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    load()\n"
    code, reason, log = run(tmp_path, script)
    assert (code, reason) == (1, "KeyError: 'price' (script.py, line 2)")
    assert log[-1] == "Training failed: KeyError: 'price' (script.py, line 2)"


def test_what_the_program_has_written_itself_stands(tmp_path: Path) -> None:
    script = "import os, sys\nopen(os.environ['SM_OUTPUT_FAILURE'], 'w').write('no rows')\n"
    script += "print('Error: no rows')\nsys.exit(3)"
    assert run(tmp_path, script) == (3, "no rows", ["Error: no rows"])


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import os\nprint('epoch 1', flush=True)\nos.kill(os.getpid(), 9)", "SIGKILL (often: out of memory)"),
        ("import os\nprint('epoch 1', flush=True)\nos.abort()", "SIGABRT"),
        ("print('epoch 1')\nraise SystemExit(7)", "exit code 7"),
    ],
)
def test_without_a_traceback_the_reason_is_how_it_ended_and_its_last_lines(
    script: str, reason: str, tmp_path: Path
) -> None:
    code, said, log = run(tmp_path, script)
    assert code in (7, 128 + signal.SIGKILL, 128 + signal.SIGABRT)
    assert said == f"the program ended with {reason}. Its last lines:\nepoch 1"
    assert log[-2:] == [f"Training failed: the program ended with {reason}. Its last lines:", "epoch 1"]


def test_torchruns_own_traceback_is_no_reason(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2")
    script = "import os, time\nos.environ['RANK'] == '1' and time.sleep(60)\nraise ValueError('too few rows')"
    _, reason, log = run(tmp_path, script, *launcher)
    assert reason == "ValueError: too few rows (script.py, line 3)"
    assert log[-1] == "Training failed: ValueError: too few rows (script.py, line 3)"
    _, reason, _ = run(
        tmp_path, "import os, time\nos.environ['RANK'] == '1' and os.kill(os.getpid(), 9)\ntime.sleep(60)", *launcher
    )
    assert reason.startswith("the program ended with SIGKILL (often: out of memory)")


@pytest.mark.parametrize("end", ["sys.exit(143)", "os.kill(os.getpid(), 15)"])
def test_a_program_that_was_stopped_has_not_failed(end: str, tmp_path: Path) -> None:
    script = f"import os, sys\nprint('saved', flush=True)\n{end}"
    assert run(tmp_path, script) == (143, "the program was stopped by SIGTERM", ["saved"])


def test_output_that_is_no_text_and_a_signal_are_passed_on(tmp_path: Path) -> None:
    script = "import os, signal, sys\nsys.stdout.buffer.write(b'\\xff\\n')\nsys.stdout.flush()\n"
    script += "signal.signal(signal.SIGTERM, lambda *_: sys.exit('saved'))\n"
    script += "os.kill(os.getppid(), signal.SIGTERM)\nsignal.pause()\n"
    code, reason, log = run(tmp_path, script)
    assert code == 1
    assert log[0] == "\ufffd"
    assert reason.endswith("saved")
