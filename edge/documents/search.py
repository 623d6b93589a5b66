"""An index as it is read: the pieces that fit a question, best first."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.documents import Found, Piece, Vectors
from edge.documents.matrix import Matrix
from edge.documents.ranking import CANDIDATES, Question, fits, goes_along, meant, ordered, scored
from edge.documents.schema import (
    DIMENSIONS_MAX,
    NAME_CHARS_MAX,
    PIECES_MAX,
    SUFFIX,
    TEXT_CHARS_MAX,
    bounded,
    opened,
)
from edge.documents.words import words, words_asked
from edge.errors import DocumentsError

NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGEST, BOUNDARY, EMBEDDER = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{8}"), re.compile("[0-9a-f]{0,64}")
QUESTION_CHARS_MAX, QUESTION_WORDS_MAX = 4000, 48
"""Of a longer question its end counts, where people ask."""
DAMAGES = (sqlite3.Error, UnicodeDecodeError, ValueError, TypeError, MemoryError)
"""What comes of reading a file in which anything may be anything."""
LOOKED_AT = 20
"""Pieces whose fit is looked at, at most."""
PIECE = (
    "SELECT path, title, heading, page, text FROM pieces JOIN documents ON documents.number = document"
    " WHERE pieces.number = ?"
)
BY_WORDS = (
    "SELECT rowid, bm25(words, 3.0, 2.0, 1.0) AS score FROM words WHERE words MATCH ? ORDER BY score, rowid LIMIT ?"
)
"""A word in the title counts thrice, in a heading twice."""


def open_index(path: Path) -> Index:
    """An index to search in; DocumentsError where there is none that can be read."""
    return Index(path)


def find_index(name: str, folders: Sequence[Path]) -> Path | None:
    """NAME.index in the first folder that has it."""
    if not NAME.fullmatch(name):
        return None
    paths = (folder / f"{name}{SUFFIX}" for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def names(folders: Sequence[Path]) -> list[str]:
    """Of the indexes in some folders, sorted."""
    paths = (path for folder in folders for path in folder.glob(f"*{SUFFIX}") if path.is_file())
    return sorted({path.name.removesuffix(SUFFIX) for path in paths if NAME.fullmatch(path.name.removesuffix(SUFFIX))})


class Index:
    """An index that is open, for one thread at a time.

    name: as people ask for it. digest: sha256 of what it holds. boundary: 8 hex digits found in none of its texts.
    embedder: digest of the model that made its vectors, or "".
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name.removesuffix(SUFFIX)
        self._path = path
        self._database = opened(path)
        try:
            self._read()
        except DAMAGES as error:
            self.close()
            raise self._damaged(error) from error
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        with bounded(self._database):
            self.about: dict[str, str] = dict(self._database.execute("SELECT name, value FROM about LIMIT 100"))
            self.digest = self._setting("digest", DIGEST)
            self.boundary = self._setting("boundary", BOUNDARY)
            self.embedder = self._setting("embedder", EMBEDDER)
            self.pieces = int(self._setting("pieces", re.compile("[0-9]{1,7}")))
            dimensions = int(self._setting("dimensions", re.compile("[0-9]{1,5}"), "0"))
            if self.pieces > PIECES_MAX or dimensions > DIMENSIONS_MAX:
                raise self._damaged(f"{self.pieces} pieces of {dimensions} dimensions")
            self._documents = self._places()
            self._matrix = Matrix.read(self._database, self.pieces, dimensions) if dimensions and self.pieces else None
        if self._matrix is not None:
            self._lengths = self._matrix.lengths(self._documents, int(self._documents.max()) + 1)

    def _places(self) -> NDArray[np.int32]:
        """Of every piece the number of its document."""
        rows = self._database.execute("SELECT document FROM pieces ORDER BY number LIMIT ?", (self.pieces + 1,))
        found = np.fromiter((int(document) for (document,) in rows), np.int32)
        if len(found) != self.pieces or (self.pieces and not 0 <= found.min() <= found.max() < self.pieces):
            raise self._damaged(f"{len(found)} pieces instead of {self.pieces}")
        return found

    def _setting(self, name: str, pattern: re.Pattern[str], default: str = "") -> str:
        value = self.about.get(name, default)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self._damaged(f"its {name}")
        return value

    def _damaged(self, why: object) -> DocumentsError:
        return DocumentsError(f"{self._path}: a damaged index ({why}); add the folder again")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def search(self, question: str, vectors: Vectors | None, limit: int) -> list[Found]:
        """The pieces that fit, best first; none where nothing fits. vectors: `[1, dimensions]` of the question."""
        try:
            with bounded(self._database):
                return self._search(question, vectors, limit)
        except DAMAGES as error:
            raise self._damaged(error) from error

    def _search(self, question: str, vectors: Vectors | None, limit: int) -> list[Found]:
        asked = Question(self._counted(question), self.pieces)
        cosines = self._matrix.cosines(vectors) if self._matrix is not None and vectors is not None else None
        both = None if cosines is None else meant(cosines, self._documents, self._lengths)
        found, has_something = dict[str, Found](), False
        for number, score in islice(ordered(scored(self._by_words(asked), both), self._documents), LOOKED_AT):
            piece, cosine = self._piece(number), None if cosines is None else float(cosines[number])
            covered = asked.covered(words(_whole(piece)))
            has_something = has_something or fits(covered, cosine)
            if goes_along(covered, cosine):
                found.setdefault(piece.text, Found(piece, score))
        return list(found.values())[:limit] if has_something else []

    def _counted(self, question: str) -> dict[str, int]:
        """The question's words, and in how many pieces each is."""
        found = dict.fromkeys(words_asked(question[-QUESTION_CHARS_MAX:])[-QUESTION_WORDS_MAX:], 0)
        marks = ", ".join("?" * len(found))
        rows = self._database.execute(f"SELECT term, doc FROM counts WHERE term IN ({marks})", tuple(found))  # noqa: S608
        return {**found, **{str(word): max(1, int(count)) for word, count in rows}}

    def _by_words(self, asked: Question) -> dict[int, float]:
        """Pieces that have some of the question's words, by number; how much of it each has (BM25)."""
        if not asked.match:
            return {}
        rows = self._database.execute(BY_WORDS, (asked.match, CANDIDATES))
        return {int(number): asked.share(score) for number, score in rows if 0 <= number < self.pieces}

    def _piece(self, number: int) -> Piece:
        row = self._database.execute(PIECE, (number,)).fetchone()
        if row is None:
            raise self._damaged(f"no piece {number}")
        path, title, heading, page, text = row
        if not all(isinstance(each, str) for each in (path, title, heading, text)) or not isinstance(page, int | None):
            raise self._damaged(f"piece {number}")
        path, title, heading = (each[:NAME_CHARS_MAX] for each in (path, title, heading))
        return Piece(number, path, title, heading, page, text[:TEXT_CHARS_MAX])


def _whole(piece: Piece) -> str:
    return f"{piece.path} {piece.title} {piece.heading} {piece.text}"
