"""Which files of a folder are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_sagemaker.definition.source_files import (
    contents_of,
    digest_of,
    digest_of_digests,
    sha256s_of,
    source_files,
)
from airflow_sagemaker.exceptions import ConfigurationError


def _tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


@pytest.mark.parametrize(
    "name",
    [".env", ".env.production", "id_rsa", "id_ed25519.pub", "server.pem", "keys/tls.key", ".aws/credentials", ".netrc",
     ".pypirc", ".ssh/config", "deploy/.kube/config", "service-account-prod.json", "prod.tfstate"],
)  # fmt: skip
def test_secrets_are_left_out_and_named(tmp_path: Path, name: str) -> None:
    found = source_files(_tree(tmp_path, "train.py", "model/net.py", name))
    assert list(found.files) == ["model/net.py", "train.py"]
    assert len(found.left_out) == 1
    assert name.startswith(found.left_out[0].rstrip("/"))


@pytest.mark.parametrize(
    "name", [".git/config", "__pycache__/a.pyc", ".cache/x", "node_modules/a.js", "a.py~", ".#a.py", "#a.py#", ".tox/x"]
)
def test_leftovers_are_left_out_without_a_word(tmp_path: Path, name: str) -> None:
    found = source_files(_tree(tmp_path, "train.py", name))
    assert (list(found.files), found.left_out) == (["train.py"], [])


def test_a_virtual_environment_is_known_by_its_mark_whatever_its_name(tmp_path: Path) -> None:
    found = source_files(_tree(tmp_path, "train.py", "env39/pyvenv.cfg", "env39/lib/site.py", "venv/not_one.py"))
    assert list(found.files) == ["train.py", "venv/not_one.py"]
    assert found.left_out == ["env39/"]


def test_the_ignore_file_leaves_out_more_and_brings_back(tmp_path: Path) -> None:
    _tree(tmp_path, "train.py", "ca.pem", "server.pem", "notebooks/a.ipynb", "data/rows.csv", "data/keep.csv")
    (tmp_path / ".sagemakerignore").write_text("# not for the job\nnotebooks/\ndata/*\n!data/keep.csv\n!ca.pem\n")
    found = source_files(tmp_path)
    assert list(found.files) == ["ca.pem", "data/keep.csv", "train.py"]
    assert found.left_out == ["data/rows.csv", "notebooks/", "server.pem"]


@pytest.mark.parametrize("target", ["file", "folder"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    root = _tree(tmp_path / "code", "train.py")
    outside = _tree(tmp_path / "home", "secret")
    (root / "shared").symlink_to(outside if target == "folder" else outside / "secret")
    with pytest.raises(ConfigurationError, match=r"shared is a link to .*home.*, outside the folder"):
        source_files(root)
    (root / ".sagemakerignore").write_text("shared\n")
    assert list(source_files(root).files) == ["train.py"]


def test_links_within_the_folder_are_followed_once(tmp_path: Path) -> None:
    root = _tree(tmp_path / "code", "train.py", "lib/a.py")
    (root / "alias.py").symlink_to("lib/a.py")
    (root / "lib" / "up").symlink_to("..")
    mount = tmp_path / "mounted"  # as Kubernetes and git-sync give a folder: the root itself is a link
    mount.symlink_to(root)
    assert list(source_files(mount).files) == ["alias.py", "lib/a.py", "train.py"]
    assert contents_of(mount)["alias.py"] == b"lib/a.py"


def test_one_digest_by_content_or_by_digests(tmp_path: Path) -> None:
    found = source_files(_tree(tmp_path, "train.py", "lib/a.py"))
    assert digest_of(contents_of(tmp_path)) == digest_of_digests(sha256s_of(found.files))
