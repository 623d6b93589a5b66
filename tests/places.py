"""Places that hold no bundle of an export's, which `--force` must leave as they are; and what tells that it did."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT
from tests.export import small_model

COMMAND = [sys.executable, "-m", "export"]
OPTIONS = ["--method=rtn", "--context=64", "--allow-loss", "--force"]


@dataclass
class Place:
    """An export that would replace what it did not make. output: as it is typed; further: options that go with it."""

    output: str
    kept: Path
    home: Path
    cwd: Path
    further: list[str] = field(default_factory=list)


def files(folder: Path, **texts: str) -> Path:
    """A folder with some files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def bundle_with_more(room: Path, bundle: Path, name: str) -> Path:
    """A bundle in which somebody keeps something else."""
    copy = shutil.copytree(bundle, room / "bundle")
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("mine")
    return copy


def _in(room: Path, output: Path | str, kept: Path, **more: Path) -> Place:
    return Place(str(output), kept, **{"home": room / "home", "cwd": room, **more})


def source(room: Path, _bundle: Path) -> Place:
    """The checkpoint."""
    return _in(room, room / "source", room / "source")


def above_source(room: Path, _bundle: Path) -> Place:
    """The folder that the checkpoint lies in."""
    return _in(room, room, room, cwd=Path("/"))


def adapter(room: Path, bundle: Path) -> Place:
    """A folder that the export reads its adapter from, which happens to be a bundle as well."""
    made = shutil.copytree(bundle, room / "adapter")
    (made / "adapter_config.json").write_text("{}")
    manifest = json.loads((made / "manifest.json").read_text())
    manifest["files"]["adapter_config.json"] = {"sha256": "0" * 64, "size_bytes": 2}
    (made / "manifest.json").write_text(json.dumps(manifest))
    return Place(str(made), made, room / "home", room, ["--adapter", str(made)])


def plain_folder(room: Path, _bundle: Path) -> Place:
    """A folder of somebody's."""
    return _in(room, room / "letters", files(room / "letters", a__txt="dear", b__txt="yours"))


def empty_folder(room: Path, _bundle: Path) -> Place:
    """One without anything in it."""
    return _in(room, room / "empty", files(room / "empty"))


def plain_file(room: Path, _bundle: Path) -> Place:
    """A file."""
    (room / "file").write_text("mine")
    return _in(room, room / "file", room / "file")


def link(room: Path, _bundle: Path) -> Place:
    """A link to somebody's folder."""
    kept = files(room / "letters", a__txt="dear")
    (room / "link").symlink_to(kept)
    return _in(room, room / "link", kept)


def other_manifest(room: Path, _bundle: Path) -> Place:
    """A folder with a manifest.json, a browser extension's."""
    return _in(room, room / "extension", files(room / "extension", manifest__json='{"manifest_version": 3}'))


def more_than_a_bundle(room: Path, bundle: Path) -> Place:
    """A bundle beside whose files somebody keeps notes."""
    kept = bundle_with_more(room, bundle, "notes.txt")
    return _in(room, kept, kept)


def checkout(room: Path, bundle: Path) -> Place:
    """A bundle under version control."""
    kept = bundle_with_more(room, bundle, ".git/HEAD")
    return _in(room, kept, kept)


def working_folder(room: Path, bundle: Path) -> Place:
    """The folder that one is in, a bundle though it is."""
    kept = shutil.copytree(bundle, room / "bundle")
    return _in(room, ".", kept, cwd=kept)


def home(room: Path, bundle: Path) -> Place:
    """The home folder, by a path with `..` in it."""
    kept = shutil.copytree(bundle, room / "home")
    return _in(room, room / "home" / ".." / "home" / "", kept)


KINDS: list[Callable[[Path, Path], Place]] = [
    source,
    above_source,
    adapter,
    plain_folder,
    empty_folder,
    plain_file,
    link,
    other_manifest,
    more_than_a_bundle,
    checkout,
    working_folder,
    home,
]


def made(room: Path) -> Path:
    """A small checkpoint in an empty folder, beside which a place is to be; its path."""
    return small_model.write_checkpoint(room / "source", small_model.llama_weights())


def forced(place: Place, checkpoint: Path) -> subprocess.CompletedProcess[str]:
    """What an export with `--force` says."""
    environment = {**os.environ, "HOME": str(place.home), "PYTHONPATH": str(ROOT)}
    command = [*COMMAND, str(checkpoint), "-o", place.output, *OPTIONS, *place.further]
    return subprocess.run(command, cwd=place.cwd, env=environment, capture_output=True, text=True, check=False)


def state(path: Path) -> dict[str, str]:
    """Everything that a place holds: kinds, links' ends, sums of files."""
    found = {}
    for each in [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]:
        status = each.lstat()
        content = hashlib.sha256(each.read_bytes()).hexdigest() if each.is_file() else ""
        found[str(each)] = f"{status.st_ino} {status.st_mode:o} {content}"
    return found


def is_left_whole(kind: Callable[[Path, Path], Place], room: Path, bundle: Path) -> bool:
    """Whether an export refuses a place in a sentence and leaves everything there is as it was."""
    checkpoint = made(room)
    place = kind(room, bundle)
    before = state(room)
    done = forced(place, checkpoint)
    said = [line for line in done.stderr.splitlines() if line.startswith("edge-export: ")]
    return done.returncode == 1 and len(said) == 1 and "Traceback" not in done.stderr and state(room) == before
