"""Which pieces fit a question: words and meaning weighed together, several documents heard, or nothing.

The numbers here were chosen by measuring (docs/decisions/0054-documents.md says how).
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 150
"""Pieces that are ranked at all, of each rank."""
WORDS, DOCUMENT = 0.4, 1.0
"""What the words' share and the whole document's cosine count beside the piece's own cosine."""
AGAIN, AGAIN_MOST = 0.6, 2
"""What a score is worth for each piece of the same document that stands before it, counted so far."""
BM25_MOST = 2.2
"""That a word's score reaches over its weight: k1 + 1 (k1 is 1.2 in FTS5)."""
COMMON, FEW = 0.3, 10
"""Share of the pieces from which on a word says nothing of any of them, and so many pieces are never too many."""
COSINE, COVERED, COVERED_ALONE = 0.3, 0.5, 0.34
"""A piece fits that has this cosine, or this share of the question's words; the last where there are no vectors."""
COSINE_BESIDE, COVERED_BESIDE = 0.2, 0.25
_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
Scores = NDArray[np.float32]
"""`[pieces]`"""


class Question:
    """Words of a question, weighed by how rare they are among the pieces."""

    def __init__(self, counts: Mapping[str, int], pieces: int) -> None:
        """counts: in how many pieces each word is."""
        self._weights = {word: math.log(1 + pieces / (max(1, count) + 0.5)) for word, count in counts.items()}
        self._total = sum(self._weights.values()) or 1.0
        telling = [word for word, count in counts.items() if count <= max(COMMON * pieces, FEW)]
        is_there = any(counts[word] for word in telling)
        self.match = " OR ".join(map(_term, telling if is_there else counts))
        """As FTS5 asks for: words in quotes, any of them."""

    def covered(self, found: Iterable[str]) -> float:
        """The share of the question that some words have, rare ones counting more; from 0 to 1."""
        there = set(found)
        return sum(weight for word, weight in self._weights.items() if word in there) / self._total

    def share(self, bm25: float) -> float:
        """FTS5's score, which is negative, as a share of what a piece could have at most in its text."""
        return -bm25 / (BM25_MOST * self._total)


def _term(word: str) -> str:
    """A lone ideograph is the beginning of pairs."""
    return f'"{word}"*' if _IDEOGRAPH.fullmatch(word) else f'"{word}"'


def scored(by_words: Mapping[int, float], meant: Scores | None) -> dict[int, float]:
    """Scores above 0 of the pieces that may fit, by number.

    by_words: shares of those that words have found. meant: of every piece its cosine and its document's, weighed
    together; None where there are no vectors.
    """
    if meant is None:
        return {number: WORDS * share for number, share in by_words.items()}
    scores = meant.copy()
    for number, share in by_words.items():
        scores[number] += WORDS * share
    count = min(CANDIDATES, len(scores))
    best = np.argpartition(-scores, count - 1)[:count]
    return {int(number): float(scores[number]) for number in best if scores[number] > 0}


def meant(cosines: Scores, documents: NDArray[np.int32], lengths: Scores) -> Scores:
    """Each piece's cosine and its document's together. lengths: of the mean of each document's vectors, above 0."""
    means = np.bincount(documents, cosines, len(lengths)) / np.maximum(
        np.bincount(documents, minlength=len(lengths)), 1
    )
    return np.asarray(cosines + DOCUMENT * (means / lengths)[documents], np.float32)


def ordered(scores: Mapping[int, float], documents: NDArray[np.int32]) -> Iterator[tuple[int, float]]:
    """Numbers and scores, best first, those of a document that was heard already worth less each time."""
    heard: dict[int, int] = {}
    heap = [(-score, number, 0) for number, score in scores.items()]
    heapq.heapify(heap)
    while heap:
        worth, number, times = heapq.heappop(heap)
        document = int(documents[number])
        now = min(heard.get(document, 0), AGAIN_MOST)
        if times < now:
            heapq.heappush(heap, (-scores[number] * AGAIN**now, number, now))
            continue
        heard[document] = now + 1
        yield number, -worth


def fits(covered: float, cosine: float | None) -> bool:
    """Whether a piece says something of what was asked, so that the documents have something on it."""
    if cosine is None:
        return covered >= COVERED_ALONE
    return cosine >= COSINE or covered >= COVERED


def goes_along(covered: float, cosine: float | None) -> bool:
    """Whether a piece is worth its place beside one that fits."""
    return covered >= COVERED_BESIDE or (cosine is not None and cosine >= COSINE_BESIDE)
