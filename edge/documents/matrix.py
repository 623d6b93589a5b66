"""The vectors of an index, in memory as they are in the file: 8 bits a number."""

from __future__ import annotations

import sqlite3

import numpy as np
from numpy.typing import NDArray

from edge.documents import Vectors
from edge.documents.schema import ROWS
from edge.errors import DocumentsError


def packed(vectors: Vectors) -> NDArray[np.int8]:
    """Vectors in 8 bits a number, each by its largest one; the cosine with another stays, but for the rounding."""
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-9)
    return np.asarray(np.rint(vectors * (127 / largest)), np.int8)


class Matrix:
    """A row for each piece. A search reads it once: 20,000 rows of 384 are 8 MB."""

    def __init__(self, blocks: list[NDArray[np.int8]]) -> None:
        self._blocks = blocks
        norms = [np.linalg.norm(block.astype(np.float32), axis=1) for block in blocks]
        self._scales = 1 / np.maximum(np.concatenate([*norms, np.zeros(0, np.float32)]), 1e-9)

    @classmethod
    def read(cls, database: sqlite3.Connection, rows: int, dimensions: int) -> Matrix:
        """From an index; DocumentsError where it is not all there."""
        blocks = []
        for first in range(0, rows, ROWS):
            found = database.execute("SELECT data FROM vectors WHERE first = ?", (first,)).fetchone()
            count = min(ROWS, rows - first)
            if found is None or not isinstance(found[0], bytes) or len(found[0]) != count * dimensions:
                raise DocumentsError(f"a damaged index (vectors from {first}); add the folder again")
            blocks.append(np.frombuffer(found[0], np.int8).reshape(count, dimensions))
        return cls(blocks)

    def lengths(self, documents: NDArray[np.int32], count: int) -> NDArray[np.float32]:
        """Of the mean of each document's vectors, `[count]`. documents: of every row its document's number."""
        sums = np.zeros((count, self._blocks[0].shape[1]), np.float32)
        first = 0
        for block in self._blocks:
            rows = slice(first, first + len(block))
            np.add.at(sums, documents[rows], block * self._scales[rows, None])
            first += len(block)
        means = sums / np.maximum(np.bincount(documents, minlength=count), 1)[:, None]
        return np.asarray(np.maximum(np.linalg.norm(means, axis=1), 1e-9), np.float32)

    def cosines(self, vectors: Vectors) -> NDArray[np.float32] | None:
        """Of every row with the first of `vectors`, which has length 1; None where that has other dimensions."""
        if not self._blocks or vectors.shape[-1] != self._blocks[0].shape[1]:
            return None
        question = vectors[0].astype(np.float32)
        found = np.concatenate([block.astype(np.float32) @ question for block in self._blocks])
        return np.asarray(found * self._scales, np.float32)
