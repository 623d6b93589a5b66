"""A bundle cut into chunks that are the same in its next version, but for what has changed (decision 44)."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from edge.bundle import GRAPH, MANIFEST, SIGNATURE, WEIGHTS, Bundle
from edge.errors import ConfigError
from edge.store.index import Chunk, Index, Indexed

CHUNK_BYTES = 512 << 10
"""Of most chunks; a request each, so that more and smaller ones would cost a board's time."""
TENSOR_BYTES_MIN = 64 << 10
"""A smaller tensor begins no chunk of its own."""
Progress = Callable[[int], None]
"""Called with the bytes that were just laid down."""


def lay(bundle: Bundle, version: str, repository: Path, progress: Progress) -> Index:
    """The bundle's chunks in the repository, those that are whole there already left alone; its index.

    Raises ConfigError where the repository cannot be written.
    """
    names = [name for name in (*bundle.manifest.files, MANIFEST, SIGNATURE) if (bundle.path / name).is_file()]
    files = {name: _laid(bundle.path, name, repository, progress) for name in sorted(names)}
    return Index(
        name=bundle.manifest.name,
        version=version,
        digest=bundle.digest,
        provider=bundle.manifest.provider,
        memory_floor_bytes=bundle.manifest.memory_floor_bytes,
        files=files,
    )


def place(repository: Path, sha256: str) -> Path:
    """Where a chunk lies."""
    return repository / "chunks" / sha256[:2] / sha256


def _laid(bundle: Path, name: str, repository: Path, progress: Progress) -> Indexed:
    whole, chunks = hashlib.sha256(), []
    with (bundle / name).open("rb") as file:
        for size in cuts(bundle, name):
            piece = file.read(size)
            whole.update(piece)
            sha256 = hashlib.sha256(piece).hexdigest()
            write(place(repository, sha256), piece)
            chunks.append(Chunk(sha256=sha256, size_bytes=size))
            progress(size)
    return Indexed(sha256=whole.hexdigest(), size_bytes=(bundle / name).stat().st_size, chunks=chunks)


def write(file: Path, data: bytes) -> None:
    """A file that is there whole, or not at all; one that has this content stays as it is."""
    try:
        if file.is_file() and file.stat().st_size == len(data) and file.read_bytes() == data:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        with beside.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        beside.replace(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror})") from error


def cuts(bundle: Path, name: str) -> list[int]:
    """The sizes of a file's chunks.

    Weights are cut where tensors begin, so that a tensor that is the same has the same chunks wherever it has moved.
    """
    size = (bundle / name).stat().st_size
    begins = sorted(_tensors(bundle)) if name == WEIGHTS else []
    edges = [0]
    for begin in [*(each for each in begins if 0 < each < size), size]:
        edges += range(edges[-1] + CHUNK_BYTES, begin, CHUNK_BYTES)
        edges += [begin] if begin > edges[-1] else []
    return [end - begin for begin, end in itertools.pairwise(edges)]


def _tensors(bundle: Path) -> Iterator[int]:
    """Where the larger tensors of the decoder begin in the file of weights; nowhere where its graph cannot be read."""
    try:
        graph = onnx.load(str(bundle / GRAPH), load_external_data=False).graph
    except (OSError, DecodeError):
        return
    for tensor in graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if entries and int(entries.get("length", 0)) >= TENSOR_BYTES_MIN:
            yield int(entries.get("offset", 0))
