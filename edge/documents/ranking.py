"""Which pieces fit a question: the rank by words and the rank by meaning joined, and when nothing fits at all.

The numbers here were chosen by measuring (docs/decisions/0054-documents.md says how).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 50
"""Pieces that each rank names."""
RANK_OFFSET = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009), as there."""
COMMON = 0.3
"""Share of the pieces from which on a word says nothing of any of them."""
COVERED_ALONE, COVERED_WITH, COSINE_ALONE, COSINE_WITH = 0.35, 0.2, 0.5, 0.25
"""A piece fits that has this share of the question, or this cosine; less of both will do together."""
_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")


class Question:
    """Words of a question, weighed by how rare they are among the pieces."""

    def __init__(self, counts: Mapping[str, int], pieces: int) -> None:
        """counts: in how many pieces each word is."""
        self._weights = {word: math.log(1 + pieces / (max(1, count) + 0.5)) for word, count in counts.items()}
        telling = [word for word, count in counts.items() if count <= COMMON * pieces]
        self.match = " OR ".join(map(_term, telling or counts))
        """As FTS5 asks for: words in quotes, any of them."""

    def covered(self, found: Iterable[str]) -> float:
        """The share of the question that some words have, rare ones counting more; from 0 to 1."""
        total = sum(self._weights.values())
        there = set(found)
        return sum(weight for word, weight in self._weights.items() if word in there) / total if total else 0.0


def _term(word: str) -> str:
    """A lone ideograph is the beginning of pairs."""
    return f'"{word}"*' if _IDEOGRAPH.fullmatch(word) else f'"{word}"'


def joined(by_words: Sequence[int], cosines: NDArray[np.float32] | None) -> list[tuple[int, float]]:
    """Numbers and scores of both ranks' pieces, best first. cosines: of every piece, where there are vectors."""
    scores: dict[int, float] = {}
    for ranked in (by_words, [] if cosines is None else _nearest(cosines)):
        for place, number in enumerate(ranked):
            scores[number] = scores.get(number, 0.0) + 1 / (RANK_OFFSET + 1 + place)
    return sorted(scores.items(), key=lambda each: (-each[1], each[0]))


def _nearest(cosines: NDArray[np.float32]) -> list[int]:
    count = min(CANDIDATES, len(cosines))
    best = np.argpartition(-cosines, count - 1)[:count]
    return [int(number) for number in best[np.argsort(-cosines[best], kind="stable")]]


def fits(covered: float, cosine: float | None) -> bool:
    """Whether a piece says something of what was asked."""
    if cosine is None:
        return covered >= COVERED_ALONE
    return cosine >= COSINE_ALONE or covered >= COVERED_ALONE or (cosine >= COSINE_WITH and covered >= COVERED_WITH)
