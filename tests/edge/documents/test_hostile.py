"""Folders that strangers filled: what cannot be read is told with its reason, and nothing else is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.documents import folder as folders
from edge.documents.adding import Added, add
from edge.documents.cutting import cut
from edge.documents.folder import FILE_BYTES_MAX
from edge.documents.plain import markdown, plain
from edge.documents.reading import Reading
from edge.documents.search import open_index
from edge.documents.web import html
from edge.errors import DocumentsError
from tests.edge.documents.papers import assembled, bomb, paper

TEXT = "The lamp of the tower is lit at dusk."


def added(folder: Path) -> Added:
    """Of a folder, which has at least one text."""
    (folder / "good.txt").write_text(TEXT)
    return add(folder, folder.parent / "all.index", None, "", lambda *_: None)


def reasons(result: Added) -> dict[str, str]:
    """Why files were skipped, by their names."""
    return {file.path: file.why for file in result.skipped}


def test_each_skipped_file_has_its_reason_and_the_others_are_there(tmp_path):
    """Kinds, links, pipes, sizes, bytes, names, rights."""
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("the secret of the harbour")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "self.txt").symlink_to(folder / "self.txt")
    (folder / "gone.txt").symlink_to(folder / "nowhere.txt")
    (folder / "in.txt").symlink_to(folder / "good.txt")
    (folder / "outside").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.txt")
    (folder / "program.txt").write_bytes(b"\x7fELF\0\0\0")
    (folder / "empty.md").write_text(" \n\n")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / "big.txt").touch()
    os.truncate(folder / "big.txt", FILE_BYTES_MAX + 1)
    os.close(os.open(bytes(folder) + b"/caf\xe9.txt", os.O_CREAT))
    (folder / "two\nlines.txt").write_text("x")
    (folder / ".hidden.txt").write_text("x")
    (folder / "deep" / "old.txt").write_bytes("Müller".encode("cp1252"))
    result = added(folder)
    told = reasons(result)
    assert "link" in told.pop("self.txt"), "in words that depend on Python's version"
    assert told == {
        "big.txt": "64 MiB; 64 are read at most",
        "caf?.txt": "a name that is too long, not UTF-8, or has characters that nobody sees",
        "empty.md": "no text in it",
        "gone.txt": "No such file or directory",
        "out.txt": "a link that leads out of the folder",
        "outside": "neither text, Markdown, HTML nor PDF, by its name",
        "picture.png": "neither text, Markdown, HTML nor PDF, by its name",
        "pipe.txt": "no regular file",
        "program.txt": "not text: it has zero bytes",
        "two?lines.txt": "a name that is too long, not UTF-8, or has characters that nobody sees",
    }
    assert [(file.path, "cp1252" in file.why) for file in result.guessed] == [("deep/old.txt", True)]
    assert (result.documents, result.pieces) == (3, 3)
    index = open_index(tmp_path / "all.index")
    assert index.search("secret harbour", None, 5) == []
    assert [each.piece.path for each in index.search("lamp of the tower", None, 5)] == ["good.txt"], "the same twice"


def test_a_paper_that_cannot_be_read_is_told(tmp_path):
    """Damaged, locked, empty, made of nothing but pictures, cut off in the middle, an outline that goes in a circle."""
    pytest.importorskip("pypdfium2")
    whole = paper([[TEXT]] * 3, {"The lamp": 0})
    circle = whole.replace(b"/Prev", b"/Next")
    cases = {
        "noise.pdf": os.urandom(5000),
        "nothing.pdf": b"",
        "half.pdf": whole[: len(whole) // 3],
        "picture.pdf": paper([[]]),
        "locked.pdf": whole.replace(b"trailer\n<<", b"trailer\n<< /Encrypt << /Filter /Standard /V 9 /R 9 >>"),
        "root.pdf": assembled({1: b"<< /Type /Catalog /Pages 1 0 R >>"}, "/Root 1 0 R"),
    }
    for name, data in {**cases, "circle.pdf": circle, "whole.pdf": whole}.items():
        (tmp_path / "texts" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "texts" / name).write_bytes(data)
    result = added(tmp_path / "texts")
    assert set(reasons(result)) == set(cases)
    assert all("PDF" in why for why in reasons(result).values())
    assert result.documents == 3


def test_a_reader_that_is_caught_in_a_file_is_ended_and_the_next_file_is_read(tmp_path):
    """A page that inflates to much more than it is takes its time alone."""
    pytest.importorskip("pypdfium2")
    (tmp_path / "bomb.pdf").write_bytes(bomb(400))
    (tmp_path / "good.txt").write_text(TEXT)
    (tmp_path / "slow.html").write_text("<a " * 100_000)
    (tmp_path / "odd.html").write_text("<![" * 100)
    with Reading(seconds=2) as reading:
        assert "2 seconds" in reading.read(tmp_path / "bomb.pdf", "pdf").why
        reading.read(tmp_path / "slow.html", "html")  # as slow as Python's release has it
        reading.seconds = 120  # on a busy machine the next one's start takes its time
        reading.read(tmp_path / "odd.html", "html")  # which some releases assert not to be there
        assert reading.read(tmp_path / "good.txt", "plain").pieces[0].text == TEXT


def test_depth_and_repetition_cost_nothing(tmp_path):
    """What makes parsers slow or deep; what Python's own of HTML is slow at, `reading.py` cuts short."""
    hostile = {
        html: ["<div>" * 200_000, "<table>" * 50_000 + "x", "<p>" * 200_000, "&" * 300_000, "</div>" * 100_000],
        markdown: ["[" * 200_000, "#" * 200_000, "```\n" * 50_000, "![](" * 50_000, "|" * 200_000, "> " * 100_000],
        plain: ["=" * 200_000, "==\n" * 100_000, "-\n" * 100_000, " " * 300_000 + "x", "= " * 100_000],
    }
    for read, texts in hostile.items():
        for text in texts:
            for piece in cut(read(text)):
                assert len(piece.text) <= 2000


def test_a_folder_with_nothing_to_read_is_an_error_and_leaves_the_older_index(tmp_path):
    """As is one that is not there, or none; the first reason is in it."""
    folder = tmp_path / "texts"
    folder.mkdir()
    added(folder)
    digest = open_index(tmp_path / "all.index").digest
    (folder / "good.txt").write_bytes(b"\0")
    for source, why in (
        (folder, "zero bytes"),
        (tmp_path / "gone", "not there"),
        (tmp_path / "all.index", "no folder"),
    ):
        with pytest.raises(DocumentsError, match=why):
            add(source, tmp_path / "all.index", None, "", lambda *_: None)
    assert open_index(tmp_path / "all.index").digest == digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.index", "texts"]


def test_folders_are_bounded(tmp_path, monkeypatch):
    """In depth and in files."""
    deep = tmp_path / "texts" / "/".join("d" * 40)
    deep.mkdir(parents=True)
    (deep / "x.txt").write_text("x")
    assert "folders deep" in next(iter(reasons(added(tmp_path / "texts")).values()))
    monkeypatch.setattr(folders, "FILES_MAX", 0)
    with pytest.raises(DocumentsError, match="more than 0 files"):
        added(tmp_path / "texts")
