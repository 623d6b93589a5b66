"""The index's file: the same for the same folder, whole or not there, and read as what strangers wrote."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.documents import Piece
from edge.documents.adding import add
from edge.documents.matrix import Matrix, packed
from edge.documents.search import open_index
from edge.documents.writing import Writing
from edge.errors import DocumentsError


def embed(texts: list[str]) -> np.ndarray:
    """Vectors that depend on nothing but the text."""
    rows = np.stack([np.random.default_rng(list(text.encode())).standard_normal(16) for text in texts])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def silent(*_: object) -> None:
    """No progress."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some documents."""
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(20):
        (texts / f"night-{number}.md").write_text(f"# Night {number}\n\nThe lamp burned {number} litres of oil.\n")
    return texts


def test_the_same_folder_gives_the_same_pieces_numbers_and_digest(folder, tmp_path):
    """Wherever it lies and in whatever order the disk lists it; the boundary alone is drawn anew."""
    add(folder, tmp_path / "a.index", embed, "ab" * 32, silent)
    other = tmp_path / "elsewhere"
    other.mkdir()
    for path in sorted(folder.iterdir(), reverse=True):
        shutil.copy(path, other / path.name)
    add(other, tmp_path / "b.index", embed, "ab" * 32, silent)
    first, second = open_index(tmp_path / "a.index"), open_index(tmp_path / "b.index")
    assert first.digest == second.digest
    assert first.boundary != second.boundary
    question = "How many litres did the lamp burn in night 7?"
    assert first.search(question, None, 5) == second.search(question, None, 5)
    assert first.search(question, None, 1)[0].piece == Piece(
        17, "night-7.md", "Night 7", "", None, "The lamp burned 7 litres of oil."
    )
    (folder / "night-7.md").write_text("# Night 7\n\nFog.\n")
    add(folder, tmp_path / "a.index", embed, "ab" * 32, silent)
    assert open_index(tmp_path / "a.index").digest != first.digest


def test_who_reads_while_it_is_replaced_reads_on(folder, tmp_path):
    """An open index stays what it was; who opens it anew sees the new one, and anybody may read it."""
    path = tmp_path / "a.index"
    add(folder, path, embed, "ab" * 32, silent)
    old = open_index(path)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "fog.txt").write_text("Fog came, and the horn was heard.\n")
    add(folder, path, None, "", silent)
    assert old.search("litres of oil", embed(["oil"]), 3)
    assert open_index(path).search("litres of oil", None, 3) == []
    assert path.stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_add_that_is_killed_leaves_the_older_index_whole(folder, tmp_path):
    """Whenever it is; the next one clears away what it had begun."""
    path = tmp_path / "a.index"
    add(folder, path, None, "", silent)
    digest = open_index(path).digest
    (folder / "more.txt").write_text("More of it.\n")
    code = (
        "import sys; from pathlib import Path; from edge.documents.adding import add\n"
        "def told(what, done, of):\n    print(done, flush=True); import time; time.sleep(0.05)\n"
        "add(Path(sys.argv[1]), Path(sys.argv[2]), None, '', told)"
    )
    for lines in (1, 10, 20):
        with subprocess.Popen([sys.executable, "-c", code, folder, path], stdout=subprocess.PIPE) as process:
            for _ in range(lines):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        assert open_index(path).digest == digest
        assert (tmp_path / ".a.index.new").exists()
    add(folder, path, None, "", silent)
    assert open_index(path).digest != digest
    assert not (tmp_path / ".a.index.new").exists()


def test_two_adds_of_one_name_do_not_mix(tmp_path):
    """The second is refused, and may pass another time."""
    with Writing(tmp_path / "a.index") as first:
        first.put([Piece(0, "a.txt", "A", "", None, "The lamp.")])
        with pytest.raises(DocumentsError, match="another") as refused, Writing(tmp_path / "a.index"):
            pass
        assert refused.value.exit_status == 75
    assert open_index(tmp_path / "a.index").pieces == 1


def test_a_full_disk_is_told_and_leaves_the_older_index(folder, tmp_path):
    """As long as the pieces go in, or at the very end."""
    path = tmp_path / "a.index"
    add(folder, path, None, "", silent)
    digest = open_index(path).digest
    code = (
        "import resource, signal, sys; from pathlib import Path; from edge.documents.adding import add\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: add(Path(sys.argv[1]), Path(sys.argv[2]), None, '', lambda *_: None)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code, folder, path], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"DocumentsError {path}: ")
    assert open_index(path).digest == digest
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.index", "texts"]


def altered(folder: Path, path: Path, sql: str) -> Path:
    """An index to which somebody did something."""
    add(folder, path, embed, "ab" * 32, silent)
    with sqlite3.connect(path) as database:
        database.executescript(sql)
    database.close()
    return path


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER t AFTER INSERT ON pieces BEGIN DELETE FROM about; END",
        "CREATE VIEW v AS SELECT * FROM pieces",
        "ALTER TABLE pieces ADD COLUMN more GENERATED ALWAYS AS (upper(text))",
        "DROP TABLE pieces; CREATE VIEW pieces AS SELECT 0 number, 0 document, '' heading, 0 page, '' text",
        "CREATE INDEX i ON pieces (upper(text))",
        "DROP TABLE words",
        "UPDATE about SET value = '2' WHERE name = 'version'",
        "UPDATE about SET value = '999999999' WHERE name = 'pieces'",
        "UPDATE about SET value = '15' WHERE name = 'dimensions'",
        "UPDATE about SET value = '-1' WHERE name = 'dimensions'",
        "UPDATE about SET value = 'Z' WHERE name = 'boundary'",
        "UPDATE about SET value = x'00' WHERE name = 'digest'",
        "UPDATE vectors SET data = zeroblob(7)",
        "UPDATE vectors SET data = 'text'",
        "DELETE FROM vectors",
        "DELETE FROM about",
    ],
)
def test_what_is_no_index_of_ours_is_refused(folder, tmp_path, sql):
    """Triggers, views, expressions, sizes that do not fit: named, with what to do."""
    with pytest.raises(DocumentsError, match=r"add the folder again|no index"):
        open_index(altered(folder, tmp_path / "a.index", sql))


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM pieces",
        "UPDATE pieces SET text = x'ff00'",
        "UPDATE pieces SET page = 'one'",
        "UPDATE documents SET path = 7",
        "UPDATE words_data SET block = randomblob(200) WHERE id > 10",
        "UPDATE words_data SET block = zeroblob(20)",
        "DELETE FROM words_docsize",
        "UPDATE words_docsize SET sz = randomblob(9)",
        "DELETE FROM words_idx",
        "INSERT INTO words (rowid, text) VALUES (-5, 'lamp'), (1 << 40, 'lamp oil')",
    ],
)
def test_a_damaged_index_says_so_or_finds_what_it_can(folder, tmp_path, sql):
    """Never anything but pieces, or DocumentsError."""
    path = altered(folder, tmp_path / "a.index", sql)
    with contextlib.suppress(DocumentsError):
        for each in open_index(path).search("How many litres of oil did the lamp burn?", embed(["oil"]), 5):
            assert isinstance(each.piece.text, str)


def test_noise_for_an_index(folder, tmp_path):
    """Any byte may be anything: it is refused, or what is found are pieces."""
    add(folder, tmp_path / "a.index", embed, "ab" * 32, silent)
    data = (tmp_path / "a.index").read_bytes()
    random = np.random.default_rng(7)
    for attempt in range(150):
        spoiled = bytearray(data if attempt % 10 else data[: int(random.integers(len(data)))])
        for _ in range(1 + attempt % 40):
            spoiled[int(random.integers(len(spoiled)))] = int(random.integers(256))
        (tmp_path / "b.index").write_bytes(spoiled)
        try:
            index = open_index(tmp_path / "b.index")
            index.search("How many litres of oil did the lamp burn?", embed(["oil"]), 5)
            index.close()
        except DocumentsError:
            continue
    for words in (b"", b"SQLite format 3\0", b"no index"):
        (tmp_path / "b.index").write_bytes(words)
        with pytest.raises(DocumentsError):
            open_index(tmp_path / "b.index")
    with pytest.raises(DocumentsError, match="cannot be opened"):
        open_index(tmp_path / "gone.index")


def test_the_boundary_is_in_no_text(tmp_path, monkeypatch):
    """One that some document has is drawn again, whatever its case."""
    drawn = iter(["deadbeef", "12345678", "0badcafe"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))
    with Writing(tmp_path / "a.index") as writing:
        writing.put(
            [Piece(0, "a.txt", "A", "", None, "end DEADBEEF"), Piece(1, "b12345678.txt", "B", "", None, "other")]
        )
    assert open_index(tmp_path / "a.index").boundary == "0badcafe"


def test_vectors_in_eight_bits_keep_their_cosines():
    """To a hundredth, in whatever blocks they come."""
    random = np.random.default_rng(1)
    vectors = random.standard_normal((5000, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = packed(vectors)
    matrix = Matrix([rows[first : first + 2048] for first in range(0, 5000, 2048)])
    assert np.abs(matrix.cosines(vectors[:1]) - vectors @ vectors[0]).max() < 0.01
