"""`edge documents`: a builder's way, with the real program."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.documents.search import open_index
from tests.edge.commands.program import ended, in_terminal, shown_on, started


@pytest.fixture
def museum(tmp_path: Path) -> Path:
    """A folder as builders have them."""
    folder = tmp_path / "museum"
    folder.mkdir()
    (folder / "hours.md").write_text("# Opening hours\n\nThe tower opens at nine and closes at dusk.\n")
    (folder / "old.txt").write_bytes("Café at the harbour: cakes and tea.\n".encode("cp1252"))
    (folder / "empty.html").write_text("<p></p>")
    (folder / "tower.jpg").write_bytes(b"\xff\xd8")
    return folder


def run(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    """One command, with the state below the test's folder."""
    return ended(started({"EDGE_DOCUMENTS__FOLDER": str(tmp_path / "state/documents")}, "documents", *words))


def test_a_folder_is_added_listed_tried_and_removed(museum, tmp_path):
    """Each says what a builder needs: counts, reasons, where it lies, what a question gets."""
    status, said, told = run(tmp_path, "add", str(museum))
    path = tmp_path / "state/documents/museum.index"
    assert (status, said.splitlines()[0]) == (
        0,
        "museum: 2 documents, 2 pieces, 0.0 MB of text, 2 files skipped; found by words alone, since the bundle has no"
        " embedding model",
    )
    assert said.splitlines()[1].startswith(f"{path}: ")
    assert told.splitlines() == [
        "old.txt: read as cp1252, since it is not UTF-8",
        "empty.html: skipped: no text in it",
        "skipped: 1 .jpg, by their names neither text, Markdown, HTML nor PDF",
    ]
    status, said, _ = run(tmp_path, "list")
    assert said.split() == ["museum", "2", "documents", "2", "pieces", open_index(path).digest[:12], "words", "alone"]
    status, said, _ = run(tmp_path, "search", "museum", "When does the tower open?")
    assert said.startswith("1. hours.md  Opening hours  (score ")
    assert said.endswith("\n   The tower opens at nine and closes at dusk.\n")
    assert run(tmp_path, "search", str(path), "sourdough bread")[:2] == (0, "museum has nothing that fits\n")
    assert run(tmp_path, "remove", "museum")[:2] == (0, "museum is removed\n")
    assert not path.exists()
    assert "holds no index" in run(tmp_path, "list")[1]
    assert (museum / "hours.md").exists()


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["add", "{tmp}/gone"], 65, "not there"),
        (["add", "{tmp}/empty"], 65, "nothing in it can be read"),
        (["add", "{tmp}/empty", "--name", "../up"], 2, "--name"),
        (["add", "{tmp}/empty", "--bundle", "{tmp}/gone"], 65, "gone"),
        (["search", "gone", "hello"], 65, "no index gone"),
        (["search", "{tmp}/gone.index", "hello"], 65, "cannot be opened"),
        (["search", "gone", "hello", "--limit", "0"], 2, "--limit"),
        (["remove", "gone"], 65, "has no index gone"),
        (["remove", "../gone"], 2, "letters"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, words, status, says):
    """With an exit status of its kind, and nothing is left behind."""
    (tmp_path / "empty").mkdir()
    ended_with, said, told = run(tmp_path, *(word.replace("{tmp}", str(tmp_path)) for word in words))
    assert (ended_with, said) == (status, "")
    assert says in told
    assert list(tmp_path.rglob("*.index*")) == []


def test_progress_is_shown_on_a_terminal(museum, tmp_path):
    """How many of how many; the last line is free again."""
    process, terminal = in_terminal(
        {"EDGE_DOCUMENTS__FOLDER": str(tmp_path / "state/documents")}, "documents", "add", str(museum)
    )
    shown = shown_on(terminal)
    assert process.wait() == 0
    assert "documents read: 1 of 3" in shown
    assert "museum: 2 documents" in shown


def test_an_index_that_is_broken_is_listed_as_that(museum, tmp_path):
    """The others are there."""
    run(tmp_path, "add", str(museum))
    (tmp_path / "state/documents/broken.index").write_bytes(b"no index")
    status, said, _ = run(tmp_path, "list")
    assert status == 0
    assert said.startswith("broken")
    assert "\nmuseum" in said
