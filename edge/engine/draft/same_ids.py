"""Which token ids mean the same to two bundles: one guesses for the other with ids alone, no text between them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import BundleError

TOKENIZER = "tokenizer.json"
ADVICE = "take a bundle of the same family, or clear engine.draft"


@dataclass(frozen=True)
class Pieces:
    """A tokenizer's. kind: as `BPE`. ordinary: texts by ids, without `added`, the control tokens. merges: in order."""

    kind: str
    ordinary: dict[int, str]
    added: dict[int, str]
    merges: list[tuple[str, str]]

    @classmethod
    def of(cls, bundle: Path) -> Pieces:
        """Those of a bundle. BundleError where its tokenizer.json is not there, or is no tokenizer."""
        path = bundle / TOKENIZER
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            model = told["model"]
            added = {int(each["id"]): str(each["content"]) for each in told.get("added_tokens") or []}
            texts = {number: text for text, number in _vocabulary(model["vocab"]) if number not in added}
            return cls(str(model.get("type")), texts, added, [_pair(each) for each in model.get("merges") or []])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{path} cannot be compared with another bundle's: {error!r}") from error


def _vocabulary(told: Any) -> Iterable[tuple[str, int]]:
    """Texts and ids: of a table, or in the order of their ids with something beside each."""
    if isinstance(told, dict):
        return told.items()
    return ((str(each[0]), number) for number, each in enumerate(told))


def _pair(merge: Any) -> tuple[str, str]:
    first, second = merge.split(" ", 1) if isinstance(merge, str) else merge
    return first, second


def known_ids(bundle: Path, draft: Path, size: int) -> NDArray[np.bool_]:
    """`[size]`: which of a bundle's ids mean the same to its draft. size: how many logits the bundle tells.

    Control tokens may differ, and the larger vocabulary may go on behind the smaller. BundleError, with both names,
    where anything else does.
    """
    ours, theirs = Pieces.of(bundle), Pieces.of(draft)
    between = f"{draft} cannot draft for {bundle}"
    if ours.kind != theirs.kind:
        raise BundleError(f"{between}: tokens of {theirs.kind} are not those of {ours.kind}; {ADVICE}")
    both = sorted(set(ours.ordinary) & set(theirs.ordinary))
    for number in both:
        mine, its = ours.ordinary[number], theirs.ordinary[number]
        if mine != its:
            raise BundleError(f"{between}: the token {number} is {its!r} in it, and {mine!r} in the other; {ADVICE}")
    if not both:
        raise BundleError(f"{between}: they have no token in common; {ADVICE}")
    if _merges(ours, both) != _merges(theirs, both):
        raise BundleError(f"{between}: they have the same tokens, but join letters to them otherwise; {ADVICE}")
    same = [number for number, text in ours.added.items() if theirs.added.get(number) == text]
    known = np.zeros(size, np.bool_)
    known[[number for number in (*both, *same) if number < size]] = True
    return known


def _merges(pieces: Pieces, both: Iterable[int]) -> list[tuple[str, str]]:
    """Those that make a token which both have."""
    texts = {pieces.ordinary[number] for number in both}
    return [pair for pair in pieces.merges if "".join(pair) in texts]
