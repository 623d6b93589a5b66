"""A repository looked at as a board would: its metadata by the board's own reader, and every chunk."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from edge.errors import BundleError
from edge.store.fetch import repository_at
from edge.store.index import CHUNK_BYTES_MAX, Index, parse_index, target
from edge.store.trust import Trust
from export.channel.chunks import place
from export.channel.repository import Repository

AGAIN = "`edge-channel add` the same bundle again, in the same version, or put the file back from a copy"


def metadata(repository: Repository, trusted: Path) -> tuple[list[Index], list[str]]:
    """The indices that boards get, and what is wrong with the others and with what says which they are, a line each.

    trusted: the root that boards have. A channel's newest are looked at by that name, too, and one that has nothing yet
    for whether a board would believe that.
    """
    indices, wrong = [], []
    for channel in repository.channels:
        for path in sorted(repository.channel(channel).targets) or [target(channel, "none")]:
            name, version = path.removesuffix(".json").split("/")[1:]
            try:
                if (payload := _found(repository, trusted, channel, name, version)) is not None:
                    indices.append(parse_index(payload))
            except BundleError as error:
                wrong.append(f"{channel}: {name}, version {version}: {error}")
    return indices, wrong


def _found(repository: Repository, trusted: Path, channel: str, name: str, version: str) -> bytes | None:
    """By a board that has never seen the repository."""
    with tempfile.TemporaryDirectory() as folder:
        trust = Trust(repository_at(str(repository.folder.absolute())), Path(folder), trusted)
        return trust.find(channel, name, version)


def chunks(repository: Repository, indices: Iterable[Index], progress: Callable[[int], None]) -> Iterator[str]:
    """What is wrong with the chunks of some bundles. progress: called with the bytes of each that was read."""
    files = [file for index in indices for file in index.files.values()]
    sizes = {chunk.sha256: chunk.size_bytes for file in files for chunk in file.chunks}
    for sha256, size in sorted(sizes.items()):
        progress(size)
        yield from _chunk(place(repository.folder, sha256), sha256, size)


def _chunk(file: Path, sha256: str, size: int) -> Iterator[str]:
    try:
        with file.open("rb") as opened:
            data = opened.read(CHUNK_BYTES_MAX + 1)
    except OSError as error:
        yield f"{file} cannot be read ({error.strerror}): {AGAIN}"
        return
    if len(data) != size:
        yield f"{file} has {len(data)} bytes instead of {size}: {AGAIN}"
    elif hashlib.sha256(data).hexdigest() != sha256:
        yield f"{file} is altered: {AGAIN}"


def unused(repository: Repository) -> Iterator[Path]:
    """Chunks and indices that no channel names any more, and what a publication that was broken off has left."""
    named = repository.named()
    for folder in ("chunks", "targets"):
        yield from (file for file in (repository.folder / folder).rglob("*") if file.is_file() and file not in named)
