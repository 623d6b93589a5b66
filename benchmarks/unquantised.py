"""What the default method loses beside rounding to nearest, at equal bytes, on weights that were never quantised."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import glass
from benchmarks.figure import Figure
from export.pipeline import export_bundle
from export.recipe import Limits, Recipe
from export.source import open_source

CALIBRATION_TOKENS, EVALUATION_TOKENS = 256 * 128, 64 * 127


def measure(_bundle: Path) -> list[Figure]:
    """The ratio of both divergences, for glassllm as a Llama and as a Phi-3, calibrated on the model's own text."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = {seed: folder / f"text-{seed}.txt" for seed in (1, 2)}
        for seed, count in ((1, CALIBRATION_TOKENS), (2, EVALUATION_TOKENS)):
            texts[seed].write_text(glass.own_text(count * 2, seed), encoding="utf-8")
        ratios = {family: ratio(folder / family, texts[1], texts[2]) for family in ("llama", "phi3")}
    return [
        Figure(f"glassllm_{family}_gptq_over_rtn", round(found, 3), "ratio", "<=", 0.5)
        for family, found in ratios.items()
    ]


def ratio(folder: Path, calibration: Path, evaluation: Path) -> float:
    """The default method's divergence over rounding's."""
    folder.mkdir()
    source = open_source(glass.write_checkpoint(folder, is_phi3=folder.name == "phi3"))
    losses = {}
    for method in ("rtn", "gptq"):
        recipe = Recipe(
            licence="MIT",
            method=method,
            context_length=128,
            split_packed=True,
            calibration_tokens=CALIBRATION_TOKENS,
            calibration_text=calibration,
            evaluation_tokens=EVALUATION_TOKENS,
            evaluation_text=evaluation,
            limits=Limits(kl_mean=9, top1_agreement=0),
            prompts=(),
        )
        bundle = export_bundle(source, recipe, folder / method, False, lambda *_: None)
        losses[method] = bundle.manifest.fidelity["kl_mean"]
    return losses["gptq"] / losses["rtn"]
