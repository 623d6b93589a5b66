"""Documents that answers come from: a folder of texts cut into pieces, and the best of them found for a question.

An index is one SQLite file. `edge documents add FOLDER` writes it, the engine reads it. Start reading in `search.py`
for what a question gets, in `adding.py` for how an index comes to be.

    adding.py      a folder into an index
    folder.py      its files, and why some are not read
    reading.py     each read by another process, which `reader.py` is: bounded, and ended where it must be
    encodings.py   bytes to text
    plain.py       text and Markdown to parts (`parts.py`)
    web.py         HTML to parts
    pdf.py         PDF to parts
    cutting.py     parts to pieces
    words.py       a text's words, in any script, and a question's (`function_words.txt` are those that say nothing)
    writing.py     the index's file, whole or not there
    schema.py      its tables; opened as a stranger's
    matrix.py      its vectors
    search.py      the pieces that fit a question
    ranking.py     two ranks joined, and when nothing fits
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""`[texts, dimensions]`, each row of length 1."""
Embed = Callable[[list[str]], Vectors]
"""What makes vectors of texts; of an embedding model, which this room knows nothing of."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document that can stand by itself.

    number: its place in the index; documents by path, their pieces as they follow. path: of the document, from the
    folder that was added, with `/`. heading: those above it, outermost first, ` > ` between them; may be empty.
    page: of a PDF, from 1.
    """

    number: int
    path: str
    title: str
    heading: str
    page: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """A piece that fits a question, and how well: above 0, comparable within one search alone."""

    piece: Piece
    score: float
