"""The new bundle measured against its source, and refused where it lost more than its recipe allows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from edge.chat import render
from edge.errors import BadRequest
from export import golden
from export.calibration_text import evaluation_tokens, tokens_of
from export.errors import FidelityError
from export.fidelity import Comparison, Sample, compare
from export.forward import BundleForward, SourceForward
from export.golden import Golden
from export.graphs import TensorFile, load_skeleton
from export.plan import Plan
from export.progress import Report
from export.report import write_report
from export.stages import Layer

GOLDEN = "golden.json"
TEXT, CHAT = "text", "chat"


def verify(plan: Plan, tensors: TensorFile, folder: Path, report: Report) -> dict[str, float]:
    """Ask the bundle, measure it, write both beside it; the figures for its manifest.

    Raises FidelityError where it lost more than the recipe allows, or cannot be loaded at all.
    """
    answers = golden.ask(folder, plan.recipe.prompts, plan.recipe.context_length)
    (folder / GOLDEN).write_text(json.dumps([asdict(each) for each in answers], indent=2) + "\n", encoding="utf-8")
    samples = [*texts(plan), *_chats(plan, answers)]
    if not samples:
        return {}
    skeleton = load_skeleton(plan.family.skeleton)
    source = SourceForward(plan, Layer(skeleton, plan.sizes))
    levels: list[int] = sorted({plan.recipe.accuracy_level, 0} if plan.is_rounded else {0}, reverse=True)
    bundles = [BundleForward(plan, skeleton, tensors, folder, level) for level in levels]
    found = dict(zip(levels, compare(source, bundles, samples, plan.sizes.num_layers, report), strict=True))
    write_report(folder, plan, tensors, found)
    figures = _figures(found, levels[0])
    _check_limits(plan, figures)
    return figures


def texts(plan: Plan) -> list[Sample]:
    """Pieces of the recipe's evaluation text."""
    tokenizer = plan.source.tokenizer_files["tokenizer.json"]
    recipe = plan.recipe
    pieces = evaluation_tokens(tokenizer, recipe.evaluation_tokens, recipe.context_length, recipe.evaluation_text)
    return [Sample(TEXT, piece) for piece in pieces]


def _chats(plan: Plan, answers: list[Golden]) -> Iterator[Sample]:
    """Each golden conversation, counted from where the answer begins."""
    tokenizer = plan.source.tokenizer_files["tokenizer.json"]
    for each in answers:
        try:
            prompt = render(plan.source.chat_template, each.messages)
        except BadRequest:
            continue
        before = tokens_of(tokenizer, prompt)
        tokens = np.concatenate([before, tokens_of(tokenizer, each.answer)])
        if len(before) < len(tokens) <= plan.recipe.context_length:
            yield Sample(CHAT, tokens[None], len(before) - 1)


def _figures(found: dict[int, Comparison], level: int) -> dict[str, float]:
    """The manifest's fidelity block: what matters of the report."""
    losses = found[level].losses
    figures = (
        {name: value for name, value in asdict(losses[TEXT]).items() if name != "tokens"} if TEXT in losses else {}
    )
    if TEXT in losses and level:
        figures["kl_mean_accuracy_level_0"] = found[0].losses[TEXT].kl_mean
    if CHAT in losses:
        figures |= {"chat_kl_mean": losses[CHAT].kl_mean, "greedy_agreement": losses[CHAT].top1_agreement}
    return {name: float(f"{value:.6g}") for name, value in figures.items()}


def _check_limits(plan: Plan, figures: dict[str, float]) -> None:
    limits = plan.recipe.limits
    if figures.get("kl_mean", 0) > limits.kl_mean:
        raise FidelityError(
            f"this bundle's KL divergence from its source is {figures['kl_mean']:.3g}, but the recipe allows"
            f" {limits.kl_mean:g}; store more bits, or pass --allow-loss to pack it all the same"
        )
    if figures.get("top1_agreement", 1) < limits.top1_agreement:
        raise FidelityError(
            f"this bundle agrees with its source on {figures['top1_agreement']:.1%} of tokens, but the recipe wants"
            f" {limits.top1_agreement:.1%}; store more bits, or pass --allow-loss to pack it all the same"
        )
