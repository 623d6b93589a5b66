"""Files that were verified are not read again, unless anything about them changed; the record is never in the way."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.board.verified import BYTES_MAX, DAYS, ENTRIES_MAX, VerifiedFiles
from edge.bundle import Manifest, check_hashes
from edge.errors import BundleError
from edge.testing import scripted_manifest

PIECE = 1 << 20
WEIGHTS = bytes(range(256)) * (PIECE * 3 // 256)


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, Manifest]:
    """A bundle of one file that is read in three pieces."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(WEIGHTS)
    entry = {"sha256": hashlib.sha256(WEIGHTS).hexdigest(), "size_bytes": len(WEIGHTS)}
    return folder, scripted_manifest(files={"model.onnx": entry})


def pieces(bundle: tuple[Path, Manifest], record: Path, late_seconds: float = 10) -> list[int]:
    """What was read of it, piece by piece, by a clock that is so late; a file that is not read is one piece."""
    found: list[int] = []
    verified = VerifiedFiles(record, lambda: time.time() + late_seconds)
    try:
        check_hashes(*bundle, lambda _name, size: found.append(size), verified)
    finally:
        verified.save()
    return found


def test_a_file_is_read_once(bundle, tmp_path):
    """What was verified is known at the next start, from a record in a folder that is made for it."""
    record = tmp_path / "cache/verified.json"
    assert pieces(bundle, record) == [PIECE] * 3
    assert pieces(bundle, record) == [PIECE * 3]
    assert [each.name for each in record.parent.iterdir()] == ["verified.json"]


def forged(path: Path) -> None:
    """Other contents of the same size under the old time of modification."""
    before = path.stat()
    path.write_bytes(b"\1" + WEIGHTS[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def swapped(path: Path) -> None:
    """Another file in its place, as old as the first."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"\1" + WEIGHTS[1:])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def mapped(path: Path) -> None:
    """A byte written through a descriptor, and the time set back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(PIECE)
        file.write(b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("harm", [forged, swapped, mapped])
def test_a_change_is_found_whatever_its_time_says(bundle, tmp_path, harm: Callable[[Path], None]):
    """The kernel's own time of change, or the inode, is another."""
    record = tmp_path / "verified.json"
    pieces(bundle, record)
    assert pieces(bundle, record) == [PIECE * 3]
    harm(bundle[0] / "model.onnx")
    for _ in range(2):  # and again, since what is wrong is not noted
        with pytest.raises(BundleError, match="has sha256"):
            pieces(bundle, record)


def test_another_manifest_is_not_the_same_file(bundle, tmp_path):
    """A known file under a manifest that wants another hash is read."""
    record = tmp_path / "verified.json"
    pieces(bundle, record)
    other = scripted_manifest(files={"model.onnx": {"sha256": "0" * 64, "size_bytes": len(WEIGHTS)}})
    with pytest.raises(BundleError, match="has sha256"):
        pieces((bundle[0], other), record)


@pytest.mark.parametrize(("late", "is_known"), [(DAYS * 86400 - 60, True), (DAYS * 86400 + 60, False), (-3600, False)])
def test_it_is_believed_for_some_days(bundle, tmp_path, late, is_known):
    """Bits that the disk has lost are found by then; a clock that was set back is no proof of anything."""
    record = tmp_path / "verified.json"
    pieces(bundle, record)
    assert (pieces(bundle, record, late + 10) == [PIECE * 3]) is is_known


def test_a_file_that_was_just_written_is_read_again(bundle, tmp_path):
    """It might be written again within the same tick of the kernel's clock."""
    record = tmp_path / "verified.json"
    assert pieces(bundle, record, 0) == pieces(bundle, record, 0) == [PIECE] * 3
    assert not record.exists()


KEY = [1, 2, 3, 4, 5, "0" * 64]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"\xff", b"[[[1, 2], 3]]", b" " * (BYTES_MAX + 1), b"[" * 10_000]
    + [json.dumps(each).encode() for each in ([[KEY, "now"]], [[KEY, 1.0, 2]], [[KEY, 1.0]] * (ENTRIES_MAX + 1))],
    ids=lambda content: content[:20].decode(errors="replace"),
)
def test_a_damaged_record_is_as_good_as_none(bundle, tmp_path, content):
    """Everything is read, and a whole record takes its place."""
    record = tmp_path / "verified.json"
    record.write_bytes(content)
    assert pieces(bundle, record) == [PIECE] * 3
    assert pieces(bundle, record) == [PIECE * 3]


def test_a_record_that_is_no_file_is_not_waited_for(bundle, tmp_path):
    """A FIFO gives way; a folder stays, and each start reads everything."""
    for make, then in ((os.mkfifo, [PIECE * 3]), (os.mkdir, [PIECE] * 3)):
        record = tmp_path / make.__name__
        make(record)
        assert pieces(bundle, record) == [PIECE] * 3
        assert pieces(bundle, record) == then


def test_without_a_cache_everything_is_read(bundle, tmp_path, caplog):
    """A word in the log, and no fault."""
    (tmp_path / "file").write_text("")
    assert pieces(bundle, tmp_path / "file/verified.json") == [PIECE] * 3
    assert "the next start reads the whole bundle again" in caplog.text


def test_the_record_is_bounded(bundle, tmp_path):
    """Many files later, it has the last of them, and can still be read."""
    record = tmp_path / "verified.json"
    verified = VerifiedFiles(record, lambda: time.time() + 10)
    status = (bundle[0] / "model.onnx").stat()
    names = [f"{number:064x}" for number in range(ENTRIES_MAX * 3)]
    for name in names:
        verified.note(status, name)
    verified.save()
    assert record.stat().st_size < BYTES_MAX
    known = VerifiedFiles(record, lambda: time.time() + 10)
    assert [known.holds(status, name) for name in names] == [False] * ENTRIES_MAX * 2 + [True] * ENTRIES_MAX
