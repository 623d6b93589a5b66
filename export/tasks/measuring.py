"""Source and bundle asked all questions: one pass of each over the texts, a layer in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from edge.engine.text.exact import ExactReader
from export.fidelity import CHUNK, Forward
from export.forward import BundleForward, SourceForward
from export.plan import Plan
from export.progress import Report
from export.quantize import Floats
from export.stages import Layer, Text, Tokens
from export.tasks.given import Given, given
from export.tasks.questions import questions
from export.tasks.tally import Tally, figures, tally, write
from export.tasks.texts import Conversation, conversations
from export.tensor_file import TensorFile

STAGE = "tasks"
Head = Callable[[Floats], Floats]
WholeGraph = Callable[[Tokens], Floats]
"""Logits float32 `[tokens, vocabulary]` of a text int64 `[1, tokens]`."""


def measure(plan: Plan, tensors: TensorFile, folder: Path, report: Report) -> dict[str, float]:
    """Ask a new bundle into its report; figures for its manifest, none where the recipe asks nothing."""
    asked = [] if plan.is_rehearsal else texts(plan)
    if not asked:
        return {}
    level = plan.recipe.accuracy_level if plan.is_rounded else 0
    bundle = BundleForward(plan, plan.skeleton, tensors, folder, level)
    counts = _counted(asked, of_source(plan, asked, report), of_layers(plan, bundle, asked, report, "the bundle"))
    write(folder, counts)
    return figures(counts)


def beside(plan: Plan, bundle: WholeGraph, report: Report) -> Tally:
    """What a finished bundle keeps of its source's answers. bundle: its graph as it is."""
    asked = texts(plan)
    if not asked:
        return {}
    wanted = of_source(plan, asked, report)
    found: list[Given] = []
    for number, text in enumerate(asked):
        report(STAGE, number, len(asked), "the bundle")
        logits = bundle(text.tokens)
        found += [given(place, logits[place.rows], plan.source.stop_token_ids) for place in text.places]
    return _counted(asked, wanted, found)


def texts(plan: Plan) -> list[Conversation]:
    """The recipe's questions as this model reads them."""
    if not plan.recipe.task_questions:
        return []
    encode = ExactReader(plan.tokenizer.files["tokenizer.json"]).encode
    asked = questions(plan.recipe.task_questions)
    return conversations(asked, plan.source.chat_template, encode, plan.recipe.context_length)


def of_source(plan: Plan, asked: list[Conversation], report: Report) -> list[Given]:
    """The source's answers, in float32."""
    return of_layers(plan, SourceForward(plan, Layer(plan.skeleton, plan.sizes)), asked, report, "the source")


def of_layers(plan: Plan, model: Forward, asked: list[Conversation], report: Report, who: str) -> list[Given]:
    """A model's answers, in the order of the texts and of the places in each."""
    stream = model.enter([Text(text.tokens) for text in asked])
    for index in range(plan.sizes.num_layers):
        report(STAGE, index, plan.sizes.num_layers, f"{who}, layer {index}")
        advance = model.layer(index)
        stream = [advance(values) for values in stream]
    head = model.logits()
    pairs = zip(asked, stream, strict=True)
    return [each for text, values in pairs for each in _read(text, values["normed"][0], head, plan)]


def _read(text: Conversation, normed: Floats, head: Head, plan: Plan) -> Iterator[Given]:
    """A text's answers, from the last layer's output float32 `[tokens, width]`; logits of answers alone are made."""
    for place in text.places:
        rows = normed[place.rows]
        parts = [head(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
        yield given(place, np.concatenate(parts), plan.source.stop_token_ids)


def _counted(asked: list[Conversation], source: list[Given], bundle: list[Given]) -> Tally:
    return tally((place.question for text in asked for place in text.places), source, bundle)
