"""A bundle gets an embedding model and documents: finished or in the making, whole or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from edge.bundle import MANIFEST, SENTENCE_GRAPH, SENTENCE_TOKENIZER, SIGNATURE, open_bundle, read_manifest
from edge.engine.text.sentences import Sentences
from export.sentences.adding import PACKED, TEXTS_BYTES
from tests import places
from tests.conftest import ROOT
from tests.export.sentences import small_bert

OPTIONS = ["--method=rtn", "--context=64", "--allow-loss"]


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The export, in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*places.COMMAND, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def index(file: Path, word: str = "clocks") -> Path:
    """As much of an index as the export looks at: a file of SQLite's."""
    held = sqlite3.connect(file)
    held.execute("create table pieces (text)")
    held.execute("insert into pieces values (?)", [word])
    held.commit()
    held.close()
    return file


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Path:
    """A folder with a checkpoint, its bundle, an embedding model and two indexes."""
    folder = tmp_path_factory.mktemp("room")
    places.made(folder)
    done = run("source", "-o", "bundle", *OPTIONS, cwd=folder)
    assert done.returncode == 0, done.stderr
    small_bert.write(folder / "small-bert")
    index(folder / "museum.index")
    index(folder / "garden.index", "roses")
    return folder


@pytest.fixture
def copied(room, tmp_path) -> Path:
    """The same folder, to be changed."""
    return shutil.copytree(room, tmp_path / "room")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_finished_bundle_gets_both_in_its_own_place(copied):
    """Everything else stays as it is, and a start finds what the manifest says."""
    before, old = contents(copied / "bundle"), read_manifest(copied / "bundle")
    words = (
        "--sentences",
        "small-bert",
        "--documents",
        "museum.index",
        "--documents",
        "garden.index",
        "--version",
        "2",
    )
    done = run("bundle", *words, cwd=copied)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("bundle: version 2, documents: garden, museum; embedding model: small-bert\n")
    bundle = open_bundle(copied / "bundle")
    assert bundle.manifest.version == "2"
    assert bundle.manifest.sentences is not None
    after = contents(copied / "bundle")
    added = {SENTENCE_GRAPH, SENTENCE_TOKENIZER, "documents/museum.index", "documents/garden.index"}
    assert set(after) - set(before) == added
    assert {name for name in before if after[name] != before[name]} == {MANIFEST}
    assert after["documents/museum.index"] == (copied / "museum.index").read_bytes()
    taken = PACKED * len(after[SENTENCE_GRAPH]) + TEXTS_BYTES
    assert bundle.manifest.memory_floor_bytes == old.memory_floor_bytes + taken
    assert Sentences.of(copied / "bundle").embed(["a question"]).shape == (1, 64)
    assert not [path for path in copied.iterdir() if "partial" in path.name]


def test_adding_again_replaces(copied):
    """Another index of the name, the same embedding model; memory is counted once, the version stays."""
    first = run("bundle", "--sentences", "small-bert", "--documents", "museum.index", cwd=copied)
    assert first.returncode == 0, first.stderr
    before = read_manifest(copied / "bundle")
    (copied / "museum.index").unlink()
    index(copied / "museum.index", "clocks and barometers")
    second = run("bundle", "--sentences", "small-bert", "--documents", "museum.index", cwd=copied)
    assert second.returncode == 0, second.stderr
    after = open_bundle(copied / "bundle").manifest
    name = "documents/museum.index"
    assert after.files[name] != before.files[name]
    assert after.model_copy(update={"files": before.files}) == before
    assert {key: value for key, value in after.files.items() if key != name}.items() <= before.files.items()


def test_another_place_leaves_the_bundle_as_it_is(copied):
    """`-o DIR` makes a second one beside it, and replaces nothing unless it is told to."""
    before = contents(copied / "bundle")
    words = ("bundle", "--documents", "museum.index", "-o", "other")
    assert run(*words, cwd=copied).returncode == 0
    assert contents(copied / "bundle") == before
    assert "documents/museum.index" in open_bundle(copied / "other").manifest.files
    again = run(*words, cwd=copied)
    assert (again.returncode, "--force" in again.stderr) == (1, True)
    assert run(*words, "--force", cwd=copied).returncode == 0


def test_a_bundle_in_the_making_gets_both(copied):
    """With the export that makes it, and its version."""
    words = ("--sentences", "small-bert", "--documents", "museum.index", "--version", "7")
    done = run("source", "-o", "new", *OPTIONS, *words, cwd=copied)
    assert done.returncode == 0, done.stderr
    manifest = open_bundle(copied / "new").manifest
    assert (manifest.version, "documents/museum.index" in manifest.files) == ("7", True)
    assert manifest.sentences is not None
    assert manifest.sentences.name == "small-bert"


def test_what_a_signature_covers_is_not_changed(copied):
    """In its own place a signed bundle stays; elsewhere the new one has no signature."""
    (copied / "bundle" / SIGNATURE).write_text("{}")
    refused = run("bundle", "--documents", "museum.index", cwd=copied)
    assert (refused.returncode, "is signed" in refused.stderr) == (1, True)
    assert run("bundle", "--documents", "museum.index", "-o", "other", cwd=copied).returncode == 0
    assert not (copied / "other" / SIGNATURE).exists()


def spoil_bundle(room: Path) -> None:
    """One byte of a file more."""
    with (room / "bundle" / "tokenizer.json").open("a") as file:
        file.write(" ")


def busy(room: Path) -> None:
    """As while somebody writes to an index."""
    (room / "museum.index-wal").write_text("pages")


def fake(room: Path) -> None:
    """A file that is only called so."""
    (room / "fake.index").write_text("no database")


REFUSED = {
    "nothing to add": ((), None, "--sentences DIR and --documents FILE add to it"),
    "an option of an export's": (("--documents", "museum.index", "--method", "rtn"), None, "--method is not for"),
    "a version alone that is none": (("--version", "a b"), None, "no version"),
    "no index": (("--documents", "small-bert/config.json"), None, "NAME.index"),
    "no file of SQLite's": (
        ("--documents", "fake.index"),
        lambda room: (room / "fake.index").write_text("x"),
        "no index",
    ),
    "an index that is not there": (("--documents", "lost.index"), None, "lost.index cannot be read"),
    "two of a name": (("--documents", "museum.index", "--documents", "./museum.index"), None, "two files"),
    "an index being written": (("--documents", "museum.index"), busy, "museum.index-wal is there"),
    "no embedding model": (("--sentences", "nowhere"), None, "no embedding model known here: all-MiniLM-L6-v2"),
    "another folder": (("--sentences", "source"), None, "modules.json"),
    "a damaged bundle": (("--documents", "museum.index"), spoil_bundle, "tokenizer.json has"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_added_leaves_the_bundle_as_it_is(case, copied):
    """One sentence, exit status 1 or 2, and nothing beside it."""
    words, spoil, said = REFUSED[case]
    if spoil:
        spoil(copied)
    before = contents(copied)
    done = run("bundle", *words, cwd=copied)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(copied) == before


def test_an_export_is_refused_before_it_begins(copied):
    """What cannot be added is told before the model is looked at: the one that is named is not even there."""
    (copied / "small-bert" / "modules.json").write_text("[]")
    done = run("no-such-model", "-o", "new", "--sentences", "small-bert", cwd=copied)
    assert (done.returncode, "modules.json has nothing" in done.stderr) == (1, True)
