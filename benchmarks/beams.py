"""Beam search on the batched engine beside Transformers' own, in both versions: the tests of it, run and counted."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.misread import TRACE_FIVE
from benchmarks.proofs import TRACE, Proof, passed
from tests.export.beam_searches import SEARCHES

TESTS = ("tests/export/test_beams.py", "-k", "beams_are_transformers")
PROOFS = (
    Proof("beams_equal_transformers", TESTS, len(SEARCHES), TRACE_FIVE),
    Proof("beams_equal_transformers_4_57", TESTS, len(SEARCHES), TRACE),
)


def measure(_bundle: Path) -> list[Figure]:
    """Searches all of whose beams are the same, to the token."""
    return [Figure(proof.name, passed(proof), f"of {proof.count}", "==", proof.count) for proof in PROOFS]
