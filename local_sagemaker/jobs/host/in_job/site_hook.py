"""Imported by the job's Python at every start through a .pth file, as `_sagemaker_job_site`.

Adds the packages of linked cached environments, then those of `job_python`; passes `python -m pip install -r FILE` to
the cache; and makes torch listen only on loopback. It is small, because it slows down every start of Python in a job.
"""

# Importing pathlib would double this module's start time.
# ruff: noqa: PTH100, PTH118, PTH120, PTH123

import os
import site
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def lines_of(name: str) -> list[str]:
    """Return the lines of a file next to this one; an empty list if it does not exist."""
    try:
        with open(os.path.join(HERE, name), encoding="utf-8") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def pip_arguments(argv: list[str]) -> "list[str] | None":
    """Return the arguments after `-m pip`; None if this process is not pip."""
    for position, word in enumerate(argv[1:], 1):
        if word == "-m":
            return argv[position + 2 :] if argv[position + 1 : position + 2] == ["pip"] else None
        if not word.startswith("-"):
            return None
    return None


class TorchFinder:
    """A finder on sys.meta_path that patches torch.distributed when it is imported."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        """Find only torch.distributed, and patch it after loading."""
        if name != "torch.distributed":
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_keep(module: object) -> None:
            load(module)  # type: ignore[arg-type]
            import _sagemaker_job_torch  # type: ignore[import-not-found,unused-ignore]

            _sagemaker_job_torch.install(module)

        spec.loader.exec_module = load_and_keep  # type: ignore[method-assign]
        return spec


def start() -> None:
    """Add the packages; install cached requirements without running pip."""
    sys.meta_path.insert(0, TorchFinder())  # type: ignore[arg-type]
    sites = lines_of("sites.txt")
    for folder in [*lines_of("linked.txt"), *sites]:
        site.addsitedir(folder)
    command = pip_arguments(list(sys.orig_argv))
    if command is None:
        return
    sys.path += lines_of("pip_wheel.txt")
    if command[:1] == ["install"]:
        import _sagemaker_job_pip  # type: ignore[import-not-found,unused-ignore]

        _sagemaker_job_pip.answer(command, sites)


if __name__ == "_sagemaker_job_site":
    start()
