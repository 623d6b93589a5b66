"""`open_bundle`, which believes nothing that it has not checked: the manifest, the files, their hashes, the memory."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from pydantic import ValidationError

from edge.bundle.manifest import MANIFEST, SCHEMA, SIGNATURE, USUAL, File, Manifest
from edge.errors import BundleError

MANIFEST_BYTES_MAX = 4 << 20
COPY = "copy the bundle again"
Progress = Callable[[str, int], None]
"""Called with a file's name and the bytes of it just checked."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was opened: its folder and its manifest."""

    path: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """sha256 of the manifest, in hex; names the bundle, since the manifest holds every file's hash."""
        return hashlib.sha256((self.path / MANIFEST).read_bytes()).hexdigest()


class Verified(Protocol):
    """Which files were found before to be what a manifest says; edge.board.verified.VerifiedFiles is the real one."""

    def holds(self, status: os.stat_result, sha256: str) -> bool:
        """Whether a file with this status had this hash, and cannot have changed since."""
        ...

    def note(self, status: os.stat_result, sha256: str) -> None:
        """A file with this status has this hash."""


def open_bundle(
    path: Path,
    provider: str = USUAL,
    memory_bytes: int | None = None,
    verify_hashes: bool = True,
    progress: Progress | None = None,
    board_bytes: int | None = None,
    beside_bytes: int = 0,
) -> Bundle:
    """Open the bundle at a path after checking everything about it.

    provider: the execution provider it will run on. memory_bytes: what the board has free; None skips that check.
    verify_hashes: False compares sizes alone; `check_hashes` does the rest later. board_bytes: its memory in all.
    beside_bytes: memory that what goes with it takes.
    Raises BundleError naming the file and both figures, found and expected; it passes where the folder is not there
    (yet), a file cannot be read now, or the memory is taken by others.
    """
    manifest = read_manifest(path)
    _check_files(path, manifest)
    if verify_hashes:
        check_hashes(path, manifest, progress)
    if manifest.provider != provider:
        text = f"{path} is a bundle for the provider {manifest.provider}, but {provider} is configured"
        raise BundleError(f"{text}: set engine.provider, or export another")
    floor = manifest.memory_floor_bytes + beside_bytes
    if memory_bytes is not None and memory_bytes < floor:
        raise _no_room(path if not beside_bytes else f"{path} with its draft", floor, memory_bytes, board_bytes)
    return Bundle(path, manifest)


def _no_room(path: Path | str, floor: int, free: int, board: int | None) -> BundleError:
    """Memory that others have taken may be free later; a board that is too small stays so."""
    need, have = (f"{value / 2**20:.0f} MiB" for value in (floor, free))
    text = f"{path} needs {need} of free memory, but this board has {have}"
    if board is None or board >= floor:
        return BundleError(f"{text} now: stop what else runs here, or take a smaller bundle", passes=True)
    return BundleError(f"{text}, and {board / 2**20:.0f} MiB in all: take a smaller bundle")


def read_manifest(path: Path) -> Manifest:
    """Parse a bundle's manifest; BundleError where it is missing, too large or not of this schema."""
    file = path / MANIFEST
    try:
        size = _size_of(file)
        if size > MANIFEST_BYTES_MAX:
            raise BundleError(f"{file} has {size} bytes; a manifest has {MANIFEST_BYTES_MAX} at most")
        return Manifest.model_validate_json(file.read_bytes())
    except OSError as error:
        if _is_place_for_a_disk(path):
            raise BundleError(
                f"{path} is not a bundle: there is nothing; is its disk mounted, and is it the right folder?",
                passes=True,
            ) from error
        if not path.exists():
            raise BundleError(f"{path} is not a bundle: there is no such folder; correct engine.bundle") from error
        raise BundleError(f"{path} is not a bundle: {file.name} {_why(error)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the JSON text"
        if field == "schema_version":
            text = f"{file} has schema version {first['input']}, but this daemon reads {SCHEMA}"
            raise BundleError(f"{text}: export the bundle anew") from error
        raise BundleError(f"{file}: {field}: {first['msg']}; {COPY}") from error


def _is_place_for_a_disk(path: Path) -> bool:
    """Whether it is an empty folder, or would lie in one, as where a disk is mounted later."""
    there = next((each for each in (path, *path.absolute().parents) if each.is_dir()), None)
    try:
        return there is not None and not any(there.iterdir())
    except OSError:
        return False


def _size_of(file: Path) -> int:
    """Of a regular file; anything else, as a FIFO, might be waited for for ever."""
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise BundleError(f"{file} is not a regular file; {COPY}")
    return found.st_size


def _check_files(path: Path, manifest: Manifest) -> None:
    """The files that the manifest names are there in their sizes, and no other."""
    for name, entry in manifest.files.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise BundleError(f"{path / MANIFEST} names a file outside the bundle: {name}")
        try:
            size = _size_of(path / name)
        except FileNotFoundError as error:
            raise BundleError(f"{path / name} is missing (expected {entry.size_bytes} bytes); {COPY}") from error
        except OSError as error:
            raise BundleError(f"{path / name} {_why(error)}") from error
        if size != entry.size_bytes:
            raise BundleError(f"{path / name} has {size} bytes, but the manifest says {entry.size_bytes}; {COPY}")
    extra = sorted(set(_files_of(path)) - {*manifest.files, MANIFEST, SIGNATURE})
    if extra:
        raise BundleError(f"{path / extra[0]} is not in the manifest ({len(extra)} files too many): remove it")


def _why(error: OSError) -> str:
    """Why a file cannot be read, and what to do."""
    advice = {errno.ENOENT: COPY, errno.EACCES: "`chmod -R a+rX` lets the daemon read it"}
    return f"cannot be read ({error.strerror}); {advice.get(error.errno or 0, 'look at its disk')}"


def _files_of(path: Path) -> Iterator[str]:
    for folder, _, names in os.walk(path):
        for name in names:
            yield (Path(folder) / name).relative_to(path).as_posix()


def check_hashes(
    path: Path, manifest: Manifest, progress: Progress | None = None, verified: Verified | None = None
) -> None:
    """Every file of a bundle has the hash that its manifest says; BundleError with both where one has not.

    verified: whose files are not read again, and who is told of those that were.
    """
    for name, entry in manifest.files.items():
        told = partial(progress, name) if progress else None
        try:
            _check_hash(path / name, entry, told, verified)
        except OSError as error:
            raise BundleError(f"{path / name} {_why(error)}") from error


def _check_hash(file: Path, entry: File, progress: Callable[[int], None] | None, verified: Verified | None) -> None:
    with file.open("rb") as opened:
        before = os.fstat(opened.fileno())
        if verified is not None and verified.holds(before, entry.sha256):
            if progress:
                progress(entry.size_bytes)
            return
        found = _hash(opened, progress)
        after = os.fstat(opened.fileno())
    if found != entry.sha256:
        raise BundleError(f"{file} has sha256 {found}, but the manifest says {entry.sha256}; {COPY}")
    if verified is not None and (before.st_size, before.st_ctime_ns) == (after.st_size, after.st_ctime_ns):
        verified.note(before, found)


def hash_file(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """A file's sha256 in hex, read in pieces."""
    with path.open("rb") as file:
        return _hash(file, progress)


def _hash(file: BinaryIO, progress: Callable[[int], None] | None) -> str:
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):  # a tenth of a second of a slow SD card, after which a start can be stopped
        digest.update(piece)
        if progress:
            progress(len(piece))
    return digest.hexdigest()
