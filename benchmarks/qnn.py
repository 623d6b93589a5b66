"""A bundle for QNN on the emulator of an HTP, not on hardware, beside the same pair of graphs on the processor.

The model is glassllm's whole one, real weights; it is small enough for the emulator. Eight texts of its own are gone on
with greedily, 64 tokens each: by both freely, and by the emulator along the processor's answer, where each of its
choices can be compared. `python -m benchmarks.qnn BUNDLE BEGINNINGS TOKENS` is the part that runs where the plugin is
installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import glass
from benchmarks.figure import Figure
from edge.bundle import Bundle, read_manifest
from edge.engine import Options
from edge.engine.graph.io_binding import Logits
from edge.engine.static.graph import FixedGraph
from edge.engine.text.exact import ExactReader
from export.pipeline import export_bundle
from export.recipe import Limits, Recipe
from export.source import open_source

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv-providers/bin/python"
TEXTS, BEGINNING, TOKENS, CONTEXT = 8, 32, 64, 128
CALIBRATION_TOKENS, EVALUATION_TOKENS = 4096, 2048
SECONDS_MAX = 900.0
ANY = Limits(kl_mean=100, top1_agreement=0)


def measure(_bundle: Path) -> list[Figure]:
    """Tokens that are the same, what was at stake where one is not, and what the bundle lost."""
    if not PYTHON.is_file():
        raise RuntimeError("the plugin is not installed: `make providers-test` does that")
    with tempfile.TemporaryDirectory() as folder:
        bundle, beginnings = made(Path(folder))
        found = told(bundle.path, beginnings)
    lost = json.loads(found["fidelity"])
    whole, floats = (lost[each]["losses"]["text"]["kl_mean"] for each in ("whole_numbers", "float_activations"))
    return [
        Figure("qnn_emulator_texts_equal", found["texts_equal"], f"of {TEXTS}", "==", TEXTS),
        Figure("qnn_emulator_tokens_equal_ratio", round(found["tokens_equal"], 4), "ratio", ">=", 0.99),
        Figure("qnn_emulator_margin_where_not", round(found["margin"], 4), "nats", "<=", 0.05),
        Figure("qnn_kl", round(whole, 4), "nats", "<=", 0.1),
        Figure("qnn_kl_float_activations", round(floats, 4), "nats", "<=", 0.1),
    ]


def made(folder: Path) -> tuple[Bundle, list[list[int]]]:
    """The bundle, calibrated and measured on the model's own text, and beginnings to go on with."""
    texts = {name: folder / f"{name}.txt" for name in ("calibration", "evaluation")}
    for seed, (path, count) in enumerate(zip(texts.values(), (CALIBRATION_TOKENS, EVALUATION_TOKENS), strict=True)):
        path.write_text(glass.own_text(count, seed), encoding="utf-8")
    checkpoint = folder / "glass"
    checkpoint.mkdir()
    glass.write_checkpoint(checkpoint)
    recipe = Recipe(
        licence="MIT",
        provider="qnn",
        context_length=CONTEXT,
        calibration_text=texts["calibration"],
        evaluation_text=texts["evaluation"],
        calibration_tokens=CALIBRATION_TOKENS,
        evaluation_tokens=EVALUATION_TOKENS,
        prompts=(),
        limits=ANY,
    )
    bundle = export_bundle(open_source(checkpoint), recipe, folder / "bundle", False, lambda *_: None)
    ids = ExactReader((checkpoint / "tokenizer.json").read_text()).encode(texts["evaluation"].read_text())
    starts = np.linspace(0, len(ids) - BEGINNING, TEXTS, dtype=int)
    return bundle, [ids[start : start + BEGINNING] for start in starts]


def told(bundle: Path, beginnings: list[list[int]]) -> dict[str, Any]:
    """What the plugin's side found; RuntimeError where it failed."""
    command = [str(PYTHON), "-m", "benchmarks.qnn", str(bundle), json.dumps(beginnings), str(TOKENS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    if done.returncode:
        raise RuntimeError(f"the emulator gave up: {done.stderr.strip()[-300:]}")
    found: dict[str, Any] = json.loads(done.stdout.rpartition("FOUND ")[2])
    return {**found, "fidelity": (bundle / "fidelity.json").read_text(encoding="utf-8")}


def compared(bundle: Path, beginnings: list[list[int]], count: int) -> dict[str, float]:
    """Both providers over the same beginnings, so many tokens each."""
    opened = Bundle(bundle, read_manifest(bundle))
    here, there = (FixedGraph(opened, Options(provider=name), 1) for name in ("cpu", "qnn"))
    texts, same, margins = 0, [], [0.0]
    for beginning in beginnings:
        wanted = gone_on(here, beginning, count)
        answer = [int(logits.argmax()) for logits in wanted]
        texts += answer == [int(logits.argmax()) for logits in gone_on(there, beginning, count)]
        along = gone_on(there, beginning, count, answer)
        same += [int(logits.argmax()) == token for logits, token in zip(along, answer, strict=True)]
        pairs = zip(wanted, answer, along, strict=True)
        margins += [margin(logits, int(found.argmax())) for logits, token, found in pairs if found.argmax() != token]
    return {"texts_equal": texts, "tokens_equal": float(np.mean(same)), "margin": max(margins)}


def gone_on(graph: FixedGraph, beginning: list[int], count: int, along: list[int] | None = None) -> list[Logits]:
    """The logits of each of the tokens behind a beginning; greedily, or along an answer."""
    found: list[Logits] = []
    tokens, seen = list(beginning), 0
    for number in range(count):
        found.append(graph.run(0, np.array([tokens]), np.array([seen]))[0, 0])
        seen += len(tokens)
        tokens = [along[number] if along else int(found[-1].argmax())]
    return found


def margin(logits: Logits, other: int) -> float:
    """How far behind the best another token is."""
    return float(logits.max() - logits[other])


if __name__ == "__main__":
    print("FOUND", json.dumps(compared(Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]))))
