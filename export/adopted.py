"""What a finished bundle lost to its source: both read the same texts and questions, and the manifest tells.

The source is computed as for an export, in float32 and a layer at a time; the bundle's graph as it is, a text at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from edge.bundle import ADOPTED, MANIFEST, SIGNATURE, Bundle, open_bundle
from edge.errors import BundleError
from export.errors import SourceError, UnsupportedError
from export.fidelity import Loss, Whole, loss_of
from export.forward import SourceForward
from export.graphs import LOGITS_FROM, MORE_LOGITS
from export.plan import Plan, make_plan
from export.progress import Report
from export.quantize import Floats
from export.recipe import Recipe
from export.runtime import open_file
from export.source import Source
from export.stages import Layer, Text, Tokens
from export.tasks import measuring
from export.tasks.tally import Tally, figures
from export.verify import texts


def measure(folder: Path, source: Source, recipe: Recipe, report: Report) -> tuple[Bundle, Tally]:
    """The bundle with its loss in its manifest, and its answers counted; its other files stay as they are.

    Of a bundle that an export made only the answers are looked for, since what it lost is there already.
    recipe: how much text, and which; how many questions. Raises SourceError where the bundle is none, or the source
    another model's, UnsupportedError where the graph tells too little.
    """
    try:
        bundle = open_bundle(folder)
    except BundleError as error:
        raise SourceError(str(error)) from error
    is_adopted = bundle.manifest.origin.revision == ADOPTED
    if not is_adopted:
        _check_own(bundle, source, recipe)
    plan = make_plan(source, _fitting(recipe, bundle))
    if plan.sizes.vocab_size != bundle.manifest.vocab_size:
        raise SourceError(
            f"{source.path} has {plan.sizes.vocab_size} tokens, but {folder} has {bundle.manifest.vocab_size}: they are"
            " two models"
        )
    logits = bundle_logits(bundle)
    fidelity = _rounded(loss_of(_both(logits, plan, report))) if is_adopted else dict(bundle.manifest.fidelity)
    counts = measuring.beside(plan, logits, report)
    held_to = plan.held_to if is_adopted else bundle.manifest.held_to
    manifest = bundle.manifest.model_copy(update={"fidelity": fidelity | figures(counts), "held_to": held_to})
    partial = folder / f".{MANIFEST}.partial"
    partial.write_text(manifest.text(), encoding="utf-8")
    partial.replace(folder / MANIFEST)
    return Bundle(folder, manifest), counts


def _check_own(bundle: Bundle, source: Source, recipe: Recipe) -> None:
    """SourceError where a bundle of an export is another model's, is signed as it is, or nothing would be asked."""
    if source.checksum() != bundle.manifest.origin.sha256:
        raise SourceError(f"{bundle.path} was not made of {source.path}: its manifest has another checksum")
    if (bundle.path / SIGNATURE).exists():
        raise SourceError(f"{bundle.path} is signed, and what is measured would not be; measure a copy without it")
    if not recipe.task_questions:
        raise SourceError(f"{bundle.path} was measured by the export that made it, and no question is to be asked")


def _fitting(recipe: Recipe, bundle: Bundle) -> Recipe:
    changes = {"method": "none", "context_length": bundle.manifest.context_length, "kv_cache": "float", "sha256": ""}
    return recipe.model_copy(update=changes)


def _rounded(found: Loss) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in asdict(found).items() if name != "tokens"}


def _both(run: measuring.WholeGraph, plan: Plan, report: Report) -> Iterator[Whole]:
    """Each text with the source's logits and the bundle's, one text's in memory at a time."""
    samples = [sample.tokens for sample in texts(plan)]
    if not samples:
        raise SourceError("no text is left to measure on; --evaluation FILE names one")
    first = run(samples[0])
    head, normed = _source_values(plan, samples, report)
    for tokens, values in zip(samples, normed, strict=True):
        yield Whole(tokens, head(values), first if tokens is samples[0] else run(tokens))


def _source_values(
    plan: Plan, samples: list[Tokens], report: Report
) -> tuple[Callable[[Floats], Floats], list[Floats]]:
    """What makes logits of the last layer's output, and that output of each text."""
    source = SourceForward(plan, Layer(plan.skeleton, plan.sizes))
    stream = source.enter([Text(tokens) for tokens in samples])
    for index in range(plan.sizes.num_layers):
        report("measure", index, plan.sizes.num_layers, f"layer {index}")
        advance = source.layer(index)
        stream = [advance(values) for values in stream]
    report("measure", plan.sizes.num_layers, plan.sizes.num_layers, "logits")
    return source.logits(), [values["normed"][0] for values in stream]


def bundle_logits(bundle: Bundle) -> Callable[[Tokens], Floats]:
    """What makes logits float32 `[tokens, vocabulary]` of a text int64 `[1, tokens]`, with nothing before it."""
    manifest = bundle.manifest
    run, inputs, outputs = open_file(bundle.path / manifest.decoder)
    wanted = MORE_LOGITS if MORE_LOGITS in outputs else "logits"
    if outputs[wanted][1] == 1 or "input_ids" not in inputs:
        raise UnsupportedError(
            f"{bundle.path} cannot be measured: its graph tells logits of a text's last token alone, or reads no text"
        )
    past = {name: shape for name, shape in inputs.items() if name.startswith("past_key_values.")}
    heads = next(int(shape[1]) for shape in past.values())
    width = manifest.kv_bytes_per_token // (len(past) * heads * np.dtype(manifest.kv_cache).itemsize)
    empty = {name: np.zeros((1, heads, 0, width), manifest.kv_cache) for name in past}

    def logits(tokens: Tokens) -> Floats:
        length = tokens.shape[1]
        around = {"attention_mask": np.ones_like(tokens), "position_ids": np.arange(length)[None]}
        around[LOGITS_FROM] = np.array([-length])
        made: Floats = run([wanted], {"input_ids": tokens, **around, **empty})[0][0].astype(np.float32, copy=False)
        return made

    return logits
