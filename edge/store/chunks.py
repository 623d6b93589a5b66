"""A bundle's files, laid down chunk by chunk: what the board has already is not fetched again.

Each chunk is written where it belongs in its file, so that nothing needs room twice and a flash disk is written once.
After a crash the file is read again: what is there is checked, not believed. A chunk comes from the same place of the
file that was begun, from a bundle whose index is in the store, from the same place of the operator's own bundle, or
from the repository; whichever it is, its hash says whether it is the one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.board.disk import free_bytes
from edge.bundle import hash_file
from edge.errors import BundleError
from edge.store.fetch import Missing, Repository, TooLong
from edge.store.index import Chunk, Index, Indexed
from edge.store.store import sync

FICLONE = 0x40049409
"""Share a file's blocks, where the filesystem can: btrfs, XFS (ioctl_ficlone(2))."""
RESERVE_BYTES = 64 << 20
"""That stay free on the disk: for the journal, and whatever else the board writes."""
ATTEMPTS = 3
"""For a chunk that comes, but altered, as over a bad line."""
Told = Callable[[int, int], None]
"""Called with the bytes that are in place and those of the whole bundle."""


@dataclass(frozen=True)
class Old:
    """A bundle that is on the board already. is_ours: of the store, so that it is never changed.

    hashes: of its files by their names, as its manifest or its index says. index: None where there is none.
    """

    folder: Path
    hashes: dict[str, str]
    index: Index | None = None
    is_ours: bool = True


class Laying:
    """One bundle on its way into a folder."""

    def __init__(self, index: Index, folder: Path, repository: Repository, old: list[Old], told: Told) -> None:
        self._index, self._folder, self._repository, self._old, self._told = index, folder, repository, old, told
        self._places = _places(old)
        self._whole: set[str] = set()
        self._done_bytes: dict[str, int] = {}
        self.fetched_bytes = 0
        """From the repository, in this run."""

    def file(self, name: str) -> Path:
        """Lay down one file, whole and on the disk; where it lies. BundleError where the repository's is not it."""
        if name not in self._whole and not self._reused(name):
            self._lay(name)
        return self._folder / name

    def rest(self, make_room: Callable[[], object]) -> None:
        """Lay down all other files. make_room: called where the disk is too full, before that is an error.

        Raises BundleError, which passes, with what there is and what is needed.
        """
        self._clean()
        for name in self._missing():
            self._reused(name)
        if self._room_missing():
            make_room()
        if missing := self._room_missing():
            need, free = (f"{value / 1e6:.1f} MB" for value in (missing, free_bytes(self._folder)))
            text = f"the disk of {self._folder.parent.parent} has {free} free, but {need} are needed"
            raise BundleError(f"{text} ({RESERVE_BYTES / 1e6:.0f} MB of that stay free): make room", passes=True)
        for name in self._missing():
            self._lay(name)
        for folder, _, _ in os.walk(self._folder):
            sync(Path(folder))

    def _missing(self) -> list[str]:
        return [name for name in self._index.files if name not in self._whole]

    def _lay(self, name: str) -> None:
        """A file of its chunks; read once more, since what was sent was hashed, and not what the disk has."""
        file, path = self._index.files[name], self._folder / name
        self._chunked(name, file)
        if hash_file(path) != file.sha256:
            path.unlink()
            raise BundleError(f"the chunks of {name} in {self._repository} are not the file that its index names")
        self._whole.add(name)

    def _room_missing(self) -> int:
        """Bytes that are needed where the disk has not so many; 0 where it has."""
        paths = {name: self._folder / name for name in self._missing()}
        there = sum(path.stat().st_blocks * 512 for path in paths.values() if path.is_file())
        need = sum(self._index.files[name].size_bytes for name in paths) - there + RESERVE_BYTES
        return need if need > free_bytes(self._folder) else 0

    def _clean(self) -> None:
        """What was begun before, and is no file of this bundle."""
        for path in self._folder.rglob("*"):
            if not path.is_dir() and path.relative_to(self._folder).as_posix() not in self._index.files:
                path.unlink()

    def _tell(self, name: str, done_bytes: int) -> None:
        self._done_bytes[name] = done_bytes
        self._told(sum(self._done_bytes.values()), self._index.size_bytes)

    def _reused(self, name: str) -> bool:
        """Whether the whole file was here already: by another name of it, or with its blocks shared.

        The operator's own bundle may be written over, so that another name of its files would not do.
        """
        path, file = self._folder / name, self._index.files[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        for source, is_ours in self._same(file.sha256):
            begun = path.with_name(f".{path.name}.begun")
            begun.unlink(missing_ok=True)
            if not ((is_ours and _linked(source, begun)) or _cloned(source, begun)):
                continue
            if hash_file(begun) == file.sha256:
                path.unlink(missing_ok=True)  # rename(2) does nothing where both are names of one file
                begun.rename(path)
                self._whole.add(name)
                self._tell(name, file.size_bytes)
                return True
            begun.unlink()
        return False

    def _same(self, sha256: str) -> Iterator[tuple[Path, bool]]:
        for old in self._old:
            yield from ((old.folder / name, old.is_ours) for name, found in old.hashes.items() if found == sha256)

    def _chunked(self, name: str, file: Indexed) -> None:
        path = self._folder / name
        if path.is_symlink() or (path.exists() and path.stat().st_nlink > 1):
            path.unlink()  # another bundle's file, too
        is_new = not path.exists()
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            os.ftruncate(number, file.size_bytes)
            offset = 0
            for chunk in file.chunks:
                if is_new or not _is(chunk, os.pread(number, chunk.size_bytes, offset)):
                    _write(number, self._from_here(name, chunk, offset) or self._fetched(name, chunk), offset)
                offset += chunk.size_bytes
                self._tell(name, offset)
            os.fsync(number)
        finally:
            os.close(number)

    def _from_here(self, name: str, chunk: Chunk, offset: int) -> bytes | None:
        """A chunk that some bundle of this board has."""
        beside = [(old.folder / name, offset) for old in self._old if old.index is None]
        for path, place in [*self._places.get(chunk.sha256, []), *beside]:
            try:
                with path.open("rb") as opened:
                    found = os.pread(opened.fileno(), chunk.size_bytes, place)
            except OSError:
                continue
            if _is(chunk, found):
                return found
        return None

    def _fetched(self, name: str, chunk: Chunk) -> bytes:
        """A chunk of the repository. BundleError where it is not what the index says."""
        why = ""
        for _ in range(ATTEMPTS):
            try:
                found = self._repository.read(f"chunks/{chunk.sha256[:2]}/{chunk.sha256}", chunk.size_bytes)
            except TooLong as error:
                raise BundleError(f"a chunk of {name} is altered: {error}; copy the repository again") from error
            except Missing as error:
                text = f"a chunk of {name} is not there: {error}; is its disk still mounted, and the copy whole?"
                raise BundleError(text, passes=True) from error
            self.fetched_bytes += len(found)
            if _is(chunk, found):
                return found
            is_short = len(found) < chunk.size_bytes
            why = f"truncated: {len(found)} of {chunk.size_bytes} bytes" if is_short else "altered: its sha256 differs"
        text = f"chunk {chunk.sha256[:12]} of {name} in {self._repository} is {why}"
        raise BundleError(f"{text}; copy the repository again (`edge-channel verify` looks at all of it)")


def _places(old: list[Old]) -> dict[str, list[tuple[Path, int]]]:
    """Where each chunk can be read, as far as indexes say."""
    places: dict[str, list[tuple[Path, int]]] = {}
    for each in old:
        for name, file in each.index.files.items() if each.index else ():
            offset = 0
            for chunk in file.chunks:
                places.setdefault(chunk.sha256, []).append((each.folder / name, offset))
                offset += chunk.size_bytes
    return places


def _is(chunk: Chunk, found: bytes) -> bool:
    return len(found) == chunk.size_bytes and hashlib.sha256(found).hexdigest() == chunk.sha256


def _write(number: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(number, view, offset)
        view, offset = view[count:], offset + count


def _linked(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except OSError:
        return False
    return True


def _cloned(source: Path, path: Path) -> bool:
    try:
        with source.open("rb") as old, path.open("xb") as new:
            fcntl.ioctl(new, FICLONE, old.fileno())
            os.fsync(new.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        return False
    return True
