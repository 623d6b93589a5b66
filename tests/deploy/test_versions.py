"""Versions by git's tags, in dpkg's spelling and in pip's, which sort alike."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.version import Version as PythonVersion

from deploy.versions import INIT, Version, of_checkout, snapshot

pytestmark = pytest.mark.checkout


def git(folder: Path, *words: str) -> None:
    """As somebody."""
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the one file."""
    (tmp_path / "edge").mkdir()
    (tmp_path / INIT).write_text('"""Doc."""\n\n__version__ = "0.1.0"\n')
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def commit(checkout: Path) -> Version:
    """The version after one commit more."""
    git(checkout, "commit", "-qm", "more", "--allow-empty")
    return of_checkout(checkout)


def test_each_commit_is_newer_than_the_last_in_both_spellings(checkout: Path):
    """Before any tag, on one, between two, on the next."""
    found = [of_checkout(checkout), commit(checkout)]
    git(checkout, "tag", "v0.1.0")
    found += [of_checkout(checkout), commit(checkout), commit(checkout)]
    git(checkout, "tag", "v0.2.0")
    found.append(of_checkout(checkout))
    assert [each.is_release for each in found] == [False, False, True, False, False, True]
    assert (found[2].deb, found[2].python) == ("0.1.0", "0.1.0")
    for older, newer in pairwise(found):
        assert PythonVersion(older.python) < PythonVersion(newer.python)
        if shutil.which("dpkg"):
            subprocess.run(["dpkg", "--compare-versions", older.deb, "lt", newer.deb], check=True)


def test_what_is_built_says_its_version_and_is_what_git_knows(checkout: Path, tmp_path_factory):
    """The program of a package names its own version; a file that was not committed is not in it."""
    (checkout / "stray").touch()
    folder = snapshot(tmp_path_factory.mktemp("built") / "source", of_checkout(checkout), checkout)
    assert f'__version__ = "{of_checkout(checkout).python}"' in (folder / INIT).read_text()
    assert not (folder / "stray").exists()
