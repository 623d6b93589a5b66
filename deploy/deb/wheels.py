"""The locked wheels of a target: fetched by hash, unpacked by ourselves, so that nothing of this machine gets in."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from packaging.markers import Marker

from deploy.deb.targets import Target

LOCKS = ("board.lock", "tokenizers.lock")
BUILD_ONLY = {"editables", "hatchling", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
"""What board.lock has for building the project's own wheel, and no board imports."""
ENTRY = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>.+?))? \\\n(?P<hashes>(?:^ .*\n?)+)", re.M
)
LIBRARIES = ("purelib", "platlib")
OF_GIT = ".gitignore"


def wanted(root: Path, target: Target) -> Iterator[tuple[str, str, str]]:
    """Name, version and hashes of what the locks below a checkout name for a target."""
    for lock in LOCKS:
        for found in ENTRY.finditer((root / "requirements" / lock).read_text(encoding="utf-8")):
            marker = found["marker"]
            is_for_it = marker is None or Marker(marker).evaluate(target.marker_environment())
            if is_for_it and found["name"] not in BUILD_ONLY:
                yield found["name"], found["version"], found["hashes"]


def fetch(root: Path, target: Target, folder: Path) -> list[Path]:
    """The wheels, in a folder that keeps them for the next time; CalledProcessError where pip cannot get one."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = list(wanted(root, target))
    lock = folder / "wanted.lock"
    # pip asks markers of the Python that runs it, so that none is left in.
    lock.write_text("".join(f"{name}=={version} \\\n{hashes}\n" for name, version, hashes in entries), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps"]
    command += ["--require-hashes", *target.pip_options(), f"--dest={folder}", f"--requirement={lock}"]
    subprocess.run(command, check=True)
    names = [f"{name.replace('-', '_')}-{version}-" for name, version, _ in entries]
    found = sorted(path for path in folder.glob("*.whl") if path.name.lower().startswith(tuple(names)))
    assert len(found) == len(entries), f"{folder} has {len(found)} wheels of {len(entries)}"
    return found


def unpack(wheel: Path, site: Path, without: tuple[str, ...] = ()) -> None:
    """What a wheel has for Python's path, into a folder; neither scripts nor headers, nor what begins as told."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            place = placed(PurePosixPath(entry.filename))
            if entry.is_dir() or place is None or str(place).startswith(without):
                continue
            target = site / place
            assert not target.exists(), f"two wheels have {place}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))


def placed(path: PurePosixPath) -> PurePosixPath | None:
    """Where a wheel's file goes below the library folder (PEP 427, spreading); None for what is not for there."""
    assert not path.is_absolute(), path
    assert ".." not in path.parts, path
    if path.name == OF_GIT:
        return None
    if not path.parts[0].endswith(".data"):
        return path
    return PurePosixPath(*path.parts[2:]) if path.parts[1] in LIBRARIES else None
