"""A job's Python: a separate environment on top of `job_python`, created in a millisecond, with shims on PATH."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_IN_JOB = Path(__file__).with_name("in_job")
_ASK = """
import glob, importlib.util, json, os, sys
wheels = glob.glob(os.path.join(os.path.dirname(os.__file__), "ensurepip", "_bundled", "pip-*.whl"))
print(json.dumps({
    "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "version": list(sys.version_info[:3]),
    "scripts": os.path.dirname(sys.executable),
    "sites": [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))],
    "pip_wheel": None if importlib.util.find_spec("pip") else (wheels or [None])[0],
}))
"""


class JobPythonError(RuntimeError):
    """`job_python` cannot run jobs."""


@dataclass(frozen=True)
class JobPython:
    """The interpreter that runs the jobs."""

    executable: str
    """The base interpreter, outside of any virtual environment."""
    version: tuple[int, int, int]
    scripts: str
    """Its folder of console scripts."""
    sites: tuple[str, ...]
    """Its folders of packages, in order."""
    pip_wheel: str | None
    """ensurepip's pip, if job_python has none installed."""

    @classmethod
    def ask(cls, job_python: str) -> JobPython:
        """Run `job_python` to inspect it; JobPythonError if that fails or it is too old."""
        try:
            answer = subprocess.run(
                [job_python, "-c", _ASK],
                capture_output=True,
                text=True,
                check=True,
                stdin=subprocess.DEVNULL,
                timeout=60,
            )
            found = json.loads(answer.stdout.splitlines()[-1])
        except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
            detail = getattr(error, "stderr", "") or str(error)
            raise JobPythonError(f"job_python {job_python!r} does not run: {detail.strip()[-500:]}") from error
        if tuple(found["version"]) < (3, 10):
            raise JobPythonError(f"job_python {job_python!r} is Python {found['version']}; jobs need 3.10 or newer")
        return cls(
            found["executable"], tuple(found["version"]), found["scripts"], tuple(found["sites"]), found["pip_wheel"]
        )


def make_environment(folder: Path, python: JobPython, environments: Path) -> Path:
    """Create the job's environment in `folder` and return its folder of programs, the first on the job's PATH."""
    name = f"python{python.version[0]}.{python.version[1]}"
    packages = folder / "lib" / name / "site-packages"
    programs = folder / "bin"
    packages.mkdir(parents=True)
    programs.mkdir()
    (folder / "pyvenv.cfg").write_text(
        f"home = {Path(python.executable).parent}\n"
        "include-system-site-packages = false\n"
        f"version = {'.'.join(map(str, python.version))}\n"
    )
    for alias in ("python3", "python", name):
        (programs / alias).symlink_to(python.executable)
    interpreter = shlex.quote(str(programs / "python3"))
    for shim, module in (("pip", "pip"), ("pip3", "pip"), ("torchrun", "torch.distributed.run")):
        path = programs / shim
        path.write_text(f'#!/bin/sh\nexec {interpreter} -m {module} "$@"\n')
        path.chmod(0o755)
    shutil.copy(_IN_JOB / "site_hook.py", packages / "_sagemaker_job_site.py")
    shutil.copy(_IN_JOB / "pip_cache.py", packages / "_sagemaker_job_pip.py")
    shutil.copy(_IN_JOB / "loopback_store.py", packages / "_sagemaker_job_torch.py")
    (packages / "_sagemaker_job_site.pth").write_text("import _sagemaker_job_site\n")
    (packages / "sites.txt").write_text("\n".join(python.sites))
    (packages / "pip_wheel.txt").write_text(python.pip_wheel or "")
    (packages / "environments.txt").write_text(str(environments))
    return programs
