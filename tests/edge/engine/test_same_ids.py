"""Which bundles may draft for each other: those whose ids mean the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.engine.draft.same_ids import known_ids
from edge.errors import BundleError

PHI = Path(__file__).resolve().parents[2] / "data/phi3/tokenizer"
MERGES = [["A", "B"], ["C", "D"], ["AB", "CD"]]
VOCABULARY = {text: number for number, text in enumerate([*"ABCD", "AB", "CD", "ABCD"])}


def tokenizer(folder: Path, vocabulary: Any = VOCABULARY, merges: Any = MERGES, added: Any = (), **more: Any) -> Path:
    """A folder with a tokenizer.json. added: texts by ids."""
    folder.mkdir()
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges, **more}
    told = {"model": model, "added_tokens": [{"id": number, "content": text} for number, text in dict(added).items()]}
    (folder / "tokenizer.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def test_the_same_tokenizer(tmp_path):
    """All that it has, and nothing of what the logits have behind it; merges in one text or in two."""
    ours = tokenizer(tmp_path / "a", added={7: "<end>"})
    theirs = tokenizer(tmp_path / "b", merges=[" ".join(each) for each in MERGES], added={7: "<end>"})
    assert np.array_equal(known_ids(ours, theirs, 10), [True] * 8 + [False] * 2)
    assert np.array_equal(known_ids(ours, ours, 4), [True] * 4)


def test_one_that_goes_on_behind_the_other(tmp_path):
    """As Phi-3's behind TinyLlama's: what both know is known, whichever of the two drafts."""
    small = tokenizer(tmp_path / "a", dict(list(VOCABULARY.items())[:6]), MERGES[:2])
    large = tokenizer(tmp_path / "b", added={8: "<user>"})
    assert np.array_equal(known_ids(large, small, 9), [True] * 6 + [False] * 3)
    assert np.array_equal(known_ids(small, large, 6), [True] * 6)


def test_other_control_tokens_are_not_known(tmp_path):
    """Nor is one that is ordinary to the other."""
    ours = tokenizer(tmp_path / "a", added={7: "<end>", 8: "<user>", 5: "CD"})
    theirs = tokenizer(tmp_path / "b", added={7: "<end>", 8: "<system>"})
    assert list(np.flatnonzero(~known_ids(ours, theirs, 9))) == [5, 8]


def test_pieces_with_their_scores(tmp_path):
    """As SentencePiece's unigrams are told."""
    pieces = [[text, -1.0] for text in VOCABULARY]
    ours = tokenizer(tmp_path / "a", pieces, None, type="Unigram")
    assert known_ids(ours, ours, 7).all()


UNLIKE = {
    "other pieces": ({"vocabulary": {**VOCABULARY, "CD": 6, "ABCD": 5}}, "the token 5 is 'ABCD' in it, and 'CD' in"),
    "other merges": ({"merges": MERGES[::-1]}, "join letters to them otherwise"),
    "another kind": ({"type": "Unigram"}, "tokens of Unigram are not those of BPE"),
    "nothing in common": ({"vocabulary": {"E": 99}, "merges": []}, "no token in common"),
}


@pytest.mark.parametrize("what", UNLIKE)
def test_what_cannot_draft(tmp_path, what):
    """The error names both bundles and the first difference."""
    changes, why = UNLIKE[what]
    ours, theirs = tokenizer(tmp_path / "ours"), tokenizer(tmp_path / "theirs", **changes)
    with pytest.raises(BundleError, match=r"theirs cannot draft for .*ours: ") as raised:
        known_ids(ours, theirs, 7)
    assert why in str(raised.value)
    assert "engine.draft" in str(raised.value)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model": {"vocab": {"a": "b"}, "merges": [1]}}'])
def test_what_is_no_tokenizer(tmp_path, text):
    """Is named."""
    ours, theirs = tokenizer(tmp_path / "ours"), tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "tokenizer.json").write_text(text)
    with pytest.raises(BundleError, match=r"theirs/tokenizer.json cannot be compared"):
        known_ids(ours, theirs, 7)


def test_true_tokenizers(bundle):
    """SmolLM2's is not Phi-3.5's; each is its own."""
    assert known_ids(PHI, PHI, 32064).sum() > 32000
    assert known_ids(bundle, bundle, 49152).all()
    with pytest.raises(BundleError, match="cannot draft for"):
        known_ids(PHI, bundle, 32064)
