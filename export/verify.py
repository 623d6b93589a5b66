"""The new bundle measured against its source, and held to what its recipe allows it to lose."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from edge.engine.providers import row_of
from edge.engine.text.chat_template import render
from edge.errors import BadRequest
from export import golden
from export.calibration_text import evaluation_tokens, tokens_of
from export.errors import FidelityError
from export.fidelity import Comparison, Forward, Sample, compare
from export.forward import BundleForward, SourceForward
from export.golden import Golden
from export.look import places, sample_cuts
from export.operators import has_int8_cache
from export.oracle import Oracle, check_reading
from export.plan import Plan
from export.progress import Report
from export.report import SOURCE, write_report
from export.stages import Layer
from export.tensor_file import TensorFile

GOLDEN = golden.FILE
TEXT, CHAT, PICTURE = "text", "chat", "picture"
AFTER_PICTURE = 256
"""Tokens of text behind a picture."""
PROBE = 128
"""Tokens that tell whether a checkpoint was misread."""
EXACT, FLOAT_CACHE = "accuracy level 0", "float cache"


def verify(
    plan: Plan, tensors: TensorFile, folder: Path, report: Report, forwards: Mapping[str, Forward] | None = None
) -> dict[str, float]:
    """Ask the bundle, measure it, write both beside it; the figures for its manifest.

    forwards: what is measured, by its name in the report, the bundle first; of the usual graph where it is None.
    Raises FidelityError where it cannot be loaded at all.
    """
    recipe = plan.recipe
    answers = golden.ask(folder, recipe.prompts, recipe.context_length, tells=row_of(recipe.provider).tells_logprobs)
    if recipe.golden and not plan.is_rehearsal:
        answers = [*(replace(each, sure="") for each in answers), *golden.ask_own(folder, recipe.golden)]
    (folder / GOLDEN).write_text(json.dumps([asdict(each) for each in answers], indent=2) + "\n", encoding="utf-8")
    samples = [*texts(plan), *_chats(plan, answers), *_pictures(plan)]
    if not samples:
        return {}
    skeleton = plan.skeleton
    source = SourceForward(plan, Layer(skeleton, plan.sizes))
    variants = forwards or {
        name: BundleForward(plan, skeleton, file, folder, level)
        for name, (level, file) in _variants(plan, tensors).items()
    }
    if plan.is_rehearsal:
        samples, variants = samples[:1], dict(list(variants.items())[:1])
    oracle = _oracle(plan, report)
    names = [*variants, *([SOURCE] if oracle else [])]
    compared = compare(source, list(variants.values()), samples, plan.sizes.num_layers, report, oracle)
    found = dict(zip(names, compared, strict=True))
    write_report(folder, plan, tensors, found)
    return _figures(found)


def _oracle(plan: Plan, report: Report) -> Oracle | None:
    """Transformers with the checkpoint, where that is asked for."""
    if not plan.recipe.oracle:
        return None
    report("oracle", 0, 1, "Transformers loads the model")
    return Oracle(plan.source)


def read_aright(plan: Plan, report: Report) -> None:
    """FidelityError where an oracle is asked for and reads another model than the export, told by random tokens."""
    if (oracle := _oracle(plan, report)) is None:
        return
    sizes = plan.sizes
    length = min(PROBE, plan.recipe.context_length)
    tokens = np.random.default_rng(0).integers(0, sizes.vocab_size, (1, length))
    source = SourceForward(plan, Layer(plan.skeleton, sizes))
    (found,) = compare(source, [], [Sample(TEXT, tokens)], sizes.num_layers, report, oracle)
    check_reading(plan.source.path, found.oracle[TEXT].kl_mean)


def _variants(plan: Plan, tensors: TensorFile) -> dict[str, tuple[int, TensorFile]]:
    """What is measured, by its name in the report: the bundle as it is, first, and what it would lose otherwise."""
    level = plan.recipe.accuracy_level if plan.is_rounded else 0
    variants: dict[str, tuple[int, TensorFile]] = {f"accuracy level {level}": (level, tensors)}
    if level:
        variants[EXACT] = (0, tensors)
    if has_int8_cache(tensors):
        variants[FLOAT_CACHE] = (level, tensors.with_float_cache())
    return variants


def loses_by_its_cache(plan: Plan, figures: dict[str, float]) -> bool:
    """Whether keys and values in int8 cost more than the recipe allows, though it does not insist on them.

    After a text, or after a picture.
    """
    if plan.recipe.kv_cache != "auto":
        return False
    added = (
        figures[name] - figures[f"{name}_float_cache"]
        for name in ("kl_mean", "picture_kl_mean")
        if f"{name}_float_cache" in figures
    )
    return max(added, default=0.0) > plan.recipe.limits.kl_added_by_cache


def texts(plan: Plan) -> list[Sample]:
    """Pieces of the recipe's evaluation text."""
    tokenizer = plan.tokenizer.files["tokenizer.json"]
    recipe = plan.recipe
    pieces = evaluation_tokens(tokenizer, recipe.evaluation_tokens, recipe.context_length, recipe.evaluation_text)
    return [Sample(TEXT, piece) for piece in pieces]


def _pictures(plan: Plan) -> Iterator[Sample]:
    """Pictures, each before a piece of the evaluation text, which is what counts."""
    if plan.tower is None:
        return
    cuts = sample_cuts(plan.recipe.sample_pictures, plan.recipe.evaluation_pictures, 1)
    for cut, piece in zip(cuts, texts(plan), strict=False):
        before = places(cut)
        tokens = np.concatenate([before, piece.tokens[0, :AFTER_PICTURE]])[: plan.recipe.context_length]
        yield Sample(PICTURE, tokens[None], len(before), cut)


def _chats(plan: Plan, answers: list[Golden]) -> Iterator[Sample]:
    """Each golden conversation, counted from where the answer begins."""
    tokenizer = plan.tokenizer.files["tokenizer.json"]
    for each in answers:
        try:
            prompt = render(plan.source.chat_template, each.messages)
        except BadRequest:
            continue
        before = tokens_of(tokenizer, prompt)
        tokens = np.concatenate([before, tokens_of(tokenizer, each.answer)])
        if len(before) < len(tokens) <= plan.recipe.context_length:
            yield Sample(CHAT, tokens[None], len(before) - 1)


def _figures(found: dict[str, Comparison]) -> dict[str, float]:
    """The manifest's fidelity block: what matters of the report."""
    losses = next(iter(found.values())).losses
    figures = (
        {name: value for name, value in asdict(losses[TEXT]).items() if name != "tokens"} if TEXT in losses else {}
    )
    for variant, name in ((EXACT, "kl_mean_accuracy_level_0"), (FLOAT_CACHE, "kl_mean_float_cache")):
        if TEXT in losses and variant in found:
            figures[name] = found[variant].losses[TEXT].kl_mean
            if PICTURE in losses:
                figures[f"picture_{name}"] = found[variant].losses[PICTURE].kl_mean
    if PICTURE in losses:
        figures["picture_kl_mean"] = losses[PICTURE].kl_mean
    if CHAT in losses:
        figures |= {"chat_kl_mean": losses[CHAT].kl_mean, "greedy_agreement": losses[CHAT].top1_agreement}
    return {name: float(f"{value:.6g}") for name, value in (figures | _against_oracle(found)).items()}


def _against_oracle(found: dict[str, Comparison]) -> dict[str, float]:
    """What the bundle lost against Transformers itself, and how far our reading of the source is from that."""
    bundle, reading = next(iter(found.values())).oracle, found[SOURCE].oracle if SOURCE in found else {}
    if TEXT not in bundle:
        return {}
    return {
        "oracle_kl_mean": bundle[TEXT].kl_mean,
        "oracle_top1_agreement": bundle[TEXT].top1_agreement,
        "oracle_reading_kl": reading[TEXT].kl_mean,
    }


def check_limits(plan: Plan, figures: dict[str, float]) -> None:
    """FidelityError where a bundle lost more than its recipe allows, or what it lost is no number."""
    limits = plan.recipe.limits
    check_reading(plan.source.path, figures.get("oracle_reading_kl", 0))
    broken = [name for name, value in figures.items() if not math.isfinite(value)]
    if broken:
        raise FidelityError(f"this bundle's {broken[0]} is {figures[broken[0]]}: it computes what is no number")
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
    if figures.get("tasks_kept", 1) < limits.tasks_kept:
        raise FidelityError(
            f"this bundle answers {figures['tasks_kept']:.1%} of {figures['tasks_questions']:.0f} task questions as its"
            f" source does, but the recipe wants {limits.tasks_kept:.1%}; store more bits, or pass --allow-loss to pack"
            " it all the same"
        )
