"""What a package of this checkout is called, from git's tags: `v0.2.0`, on it or after it."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INIT = "edge/__init__.py"
"""Where hatch and the program itself read the version; a package's copy of it says the package's."""
SAYS = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Version:
    """One version in two spellings that sort alike. deb: deb-version(7). python: PEP 440. is_release: on a tag."""

    deb: str
    python: str
    is_release: bool


def of_checkout(root: Path = ROOT) -> Version:
    """Of the last commit: its tag; else what follows its last tag; without any, what comes before the first one."""
    revision = git(root, "rev-parse", "--short=8", "HEAD")
    described = git(root, "describe", "--tags", "--long", "--abbrev=8", "--match=v[0-9]*", check=False)
    if not described:
        first, count = said_by(root), git(root, "rev-list", "--count", "HEAD")
        return Version(f"{first}~git{count}.{revision}", f"{first}.dev{count}+g{revision}", is_release=False)
    tag, count, _ = described.rsplit("-", 2)
    number = tag.removeprefix("v")
    if count == "0":
        return Version(number, number, is_release=True)
    return Version(f"{number}+git{count}.{revision}", f"{number}.post{count}+g{revision}", is_release=False)


def said_by(root: Path) -> str:
    """What the program says of itself where it runs from this checkout."""
    found = SAYS.search((root / INIT).read_text(encoding="utf-8"))
    assert found, INIT
    return found[1]


def snapshot(folder: Path, version: Version, root: Path = ROOT) -> Path:
    """The last commit's files below a folder, with its version written in: what is built is what git knows."""
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=root, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
    init = folder / INIT
    init.write_text(SAYS.sub(f'__version__ = "{version.python}"', init.read_text(encoding="utf-8")), encoding="utf-8")
    return folder


def left_out(root: Path = ROOT) -> int:
    """How many files differ from the last commit, and so from what is built."""
    return len(git(root, "status", "--porcelain").splitlines())


def epoch(root: Path = ROOT) -> int:
    """The second that everything built is dated with: $SOURCE_DATE_EPOCH, else the last commit's."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or git(root, "log", "-1", "--format=%ct"))


def git(root: Path, *arguments: str, check: bool = True) -> str:
    """Its output; CalledProcessError where it fails and is checked."""
    done = subprocess.run(["git", *arguments], cwd=root, check=check, capture_output=True, text=True)
    return done.stdout.strip()
