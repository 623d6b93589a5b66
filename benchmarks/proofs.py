"""Claims that are not a measured size but hold or do not: each is some tests, run here and counted."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import Figure
from tests.forging import ATTEMPTS

ROOT = Path(__file__).resolve().parent.parent
TRACE = ROOT / ".venv-trace" / "bin" / "python"
"""Where Transformers is, made by `make trace-test`."""


@dataclass(frozen=True)
class Proof:
    """name: the figure's; tests: what pytest is given; count: how many must pass; python: what runs it."""

    name: str
    tests: tuple[str, ...]
    count: int
    python: Path = Path(sys.executable)


PROOFS = (
    Proof("forging_fails", ("tests/edge/mqtt/test_security.py", "-k", "heard_as_another"), len(ATTEMPTS)),
    Proof("asks_behind_the_shipped_list", ("tests/edge/mqtt/test_security.py", "-k", "laptop"), 1),
    Proof("forged_turns_fail", ("tests/edge/engine/test_marks.py", "-k", "every_mark or any_mixture"), 6),
    Proof("broken_inputs_refused", ("tests/export/test_broken.py",), 13),
    Proof("phi_tokenizer_vectors", ("tests/export/test_phi_tokenizer.py", "-k", "vectors"), 1),
    Proof("two_exports_one_hash", ("tests/export/test_pipeline.py", "-k", "same_bytes"), 2),
    Proof("same_logits_as_glassllm", ("tests/export/test_glassllm.py", "-k", "package_computes"), 1),
    Proof("same_tokens_as_transformers", ("tests/export/test_transformers.py", "-k", "not chat_text"), 6, TRACE),
    Proof("same_chat_texts_as_transformers", ("tests/export/test_transformers.py", "-k", "chat_text"), 9, TRACE),
)
"""Twelve kinds of broken input are 13 tests: a full disk is found before and on the way."""


def measure(_bundle: Path) -> list[Figure]:
    """Tests passed, of each proof."""
    return [Figure(proof.name, passed(proof), f"of {proof.count}", "==", proof.count) for proof in PROOFS]


def passed(proof: Proof) -> int:
    """How many of a proof's tests pass; RuntimeError where its environment is not there."""
    if not proof.python.is_file():
        raise RuntimeError(f"{proof.python.parent.parent.name} is missing; `make trace-test` makes it")
    command = [str(proof.python), "-m", "pytest", "-q", "--no-header", *proof.tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = re.search(r"(\d+) passed", done.stdout)
    return int(found[1]) if found else 0
