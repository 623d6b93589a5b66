"""`edge documents add`: a folder's documents read, cut and put into an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edge.documents import Embed, Piece
from edge.documents.folder import File, files
from edge.documents.matrix import packed
from edge.documents.reading import Read, Reading
from edge.documents.schema import NAME_CHARS_MAX, PIECES_MAX
from edge.documents.writing import Writing
from edge.errors import DocumentsError

BATCH = 64
"""Texts that are embedded together."""
EMBEDDED_CHARS_MAX, EMBEDDED_CHARS_MIN = 700, 150
"""Of each piece, with its title and headings, as the embedding model gets it: its beginning."""
EMBEDDED_CHARS = 2_400_000
"""Of all pieces together, as long as each gets the least: about a minute of two cores (docs/documents.md)."""

Progress = Callable[[str, int, int], None]
"""What is done, how many of it, of how many."""


@dataclass(slots=True)
class Added:
    """What became of a folder. skipped: files that are not in the index, and why. guessed: files read as a guess."""

    documents: int = 0
    pieces: int = 0
    chars: int = 0
    skipped: list[File] = field(default_factory=list)
    guessed: list[File] = field(default_factory=list)


def add(folder: Path, index: Path, embed: Embed | None, embedder: str, progress: Progress) -> Added:
    """Read a folder into an index, in place of an older one; DocumentsError where nothing in it can be read.

    embedder: digest of the model behind `embed`, both absent where there is none.
    """
    added = Added()
    with Writing(index) as writing:
        for piece in _pieces(folder, added, progress):
            writing.put([piece])
        if not added.pieces:
            raise DocumentsError(f"{folder}: nothing in it can be read{_first_reason(added)}")
        if embed is not None:
            writing.put_vectors(embedder, _vectors(writing, added.pieces, embed, progress))
        writing.tell(folder=folder.absolute().name, documents=str(added.documents))
    return added


def _first_reason(added: Added) -> str:
    return f" ({added.skipped[0].path}: {added.skipped[0].why})" if added.skipped else ": it holds no files"


def _pieces(folder: Path, added: Added, progress: Progress) -> Iterator[Piece]:
    found = files(folder)
    added.skipped = [file for file in found if file.why]
    wanted = [file for file in found if not file.why]
    with Reading() as reading:
        for count, file in enumerate(wanted):
            progress("documents read", count, len(wanted))
            read = reading.read((folder / file.path).resolve(), file.kind)
            yield from _numbered(file, read, added)
    progress("documents read", len(wanted), len(wanted))
    added.skipped.sort(key=lambda file: file.path)


def _numbered(file: File, read: Read, added: Added) -> Iterator[Piece]:
    if read.why:
        added.skipped.append(File(file.path, why=read.why))
        return
    if added.pieces + len(read.pieces) > PIECES_MAX:
        raise DocumentsError(f"{file.path}: with it there are more than {PIECES_MAX} pieces; make several indexes")
    if read.guess:
        added.guessed.append(File(file.path, why=f"read as {read.guess}, since it is not UTF-8"))
    title = (read.title or PurePosixPath(file.path).stem)[:NAME_CHARS_MAX]
    for cut in read.pieces:
        yield Piece(added.pieces, file.path, title, cut.heading, cut.page, cut.text)
        added.pieces += 1
        added.chars += len(cut.text)
    added.documents += 1


def _vectors(writing: Writing, pieces: int, embed: Embed, progress: Progress) -> NDArray[np.int8]:
    """`[pieces, dimensions]`; texts of about the same length go through the model together."""
    chars = min(EMBEDDED_CHARS_MAX, max(EMBEDDED_CHARS_MIN, EMBEDDED_CHARS // pieces))
    order = [number for _, number in sorted((min(len(text), chars), number) for number, text in writing.texts())]
    vectors: NDArray[np.int8] | None = None
    for first in range(0, pieces, BATCH):
        progress("pieces embedded", first, pieces)
        numbers = order[first : first + BATCH]
        made = packed(embed([text[:chars] for text in writing.texts_of(numbers)]))
        vectors = np.zeros((pieces, made.shape[1]), np.int8) if vectors is None else vectors
        vectors[numbers] = made
    progress("pieces embedded", pieces, pieces)
    assert vectors is not None
    return vectors
