"""A repository looked at as a board would: its metadata by the board's own reader, and every chunk."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.errors import BundleError
from edge.store.fetch import repository_at
from edge.store.index import CHUNK_BYTES_MAX, Index, parse_index
from edge.store.trust import Trust
from export.channel.chunks import place
from export.channel.repository import Repository


def problems(repository: Repository, trusted: Path, progress: Callable[[int], None]) -> Iterator[str]:
    """What is wrong, a line each; nothing where all is well. trusted: the root that boards have.

    progress: called with the bytes of each chunk that was read.
    """
    seen: set[str] = set()
    for channel in repository.channels:
        for _, index in repository.versions(channel):
            yield from _metadata(repository, trusted, channel, index)
            for sha256, size in sorted(
                {(c.sha256, c.size_bytes) for file in index.files.values() for c in file.chunks}
            ):
                if sha256 not in seen:
                    seen.add(sha256)
                    progress(size)
                    yield from _chunk(place(repository.folder, sha256), sha256, size)


def _metadata(repository: Repository, trusted: Path, channel: str, index: Index) -> Iterator[str]:
    """By a board that has never seen the repository."""
    with tempfile.TemporaryDirectory() as folder:
        trust = Trust(repository_at(str(repository.folder.absolute())), Path(folder), trusted)
        try:
            parse_index(trust.index(channel, index.name, index.version))
        except BundleError as error:
            yield f"{channel}: {index.name}, version {index.version}: {error}"


def _chunk(file: Path, sha256: str, size: int) -> Iterator[str]:
    try:
        with file.open("rb") as opened:
            data = opened.read(CHUNK_BYTES_MAX + 1)
    except OSError as error:
        yield f"{file} cannot be read ({error.strerror})"
        return
    if len(data) != size:
        yield f"{file} has {len(data)} bytes instead of {size}"
    elif hashlib.sha256(data).hexdigest() != sha256:
        yield f"{file} is altered"


def unused(repository: Repository) -> Iterator[Path]:
    """Chunks and indices that no channel names any more, and what a publication that was broken off has left."""
    chunks, indices = set(), set()
    for channel in repository.channels:
        indices |= set(repository.files(channel))
        for _, index in repository.versions(channel):
            chunks |= {chunk.sha256 for file in index.files.values() for chunk in file.chunks}
    for file in (repository.folder / "chunks").rglob("*"):
        if file.is_file() and file.name not in chunks:
            yield file
    for file in (repository.folder / "targets").rglob("*"):
        if file.is_file() and file not in indices:
            yield file
