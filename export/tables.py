"""The embedding and the head in blocks: rounded to nearest, or, what makes logits, fitted to what the texts show.

A head of its own is fitted last, to what the rounded layers hand on, and makes good some of what they lost. One that
shares the embedding's table has to be there before the first layer is, so that it is fitted to the source's own values;
in 8 bits it loses nothing that fitting would save.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from export.calibrate import Calibrator
from export.families.base import EMBEDDING, HEAD
from export.forward import SourceForward
from export.plan import Plan
from export.progress import Report
from export.quantize import METHODS, Feedback, Floats, Format, Moments, Quantized, quantize
from export.stages import Layer, Text
from export.tensor_file import TensorFile

ROWS_AT_ONCE = 8192
"""Of a table, fitted together: its floats and errors are in memory for these alone."""


def stored_or_rounded(plan: Plan, name: str, method: str) -> Quantized:
    """A matrix in the blocks it is stored in, else by a method that looks at no text."""
    kept = plan.source.stored_blocks(name) if plan.is_kept(name) else None
    return kept or quantize(plan.source.tensor(name).T, plan.format_of(name), METHODS[method])


def write_embedding(plan: Plan, tensors: TensorFile, texts: list[Text], report: Report) -> Quantized:
    """The embedding, which comes back. texts: what it is fitted to where it is the head, too."""
    if texts and is_head_fitted_first(plan):
        table = fitted(plan, EMBEDDING, moments_behind(plan, texts, report).feedback(keeps=False), None)
    else:
        table = stored_or_rounded(plan, EMBEDDING, "rtn")
    tensors.add_matrix(EMBEDDING, table)
    return table


def write_head(plan: Plan, tensors: TensorFile, calibrator: Calibrator | None) -> None:
    """A head of its own. calibrator: behind the last layer, None where no texts were looked at."""
    if plan.sizes.tied_embeddings:
        return
    if calibrator is None or not _is_fitted(plan, HEAD):
        tensors.add_matrix(HEAD, stored_or_rounded(plan, HEAD, "rtn"))
        return
    moments = calibrator.behind()
    feedback = moments.feedback()
    turned = moments.corrected(np.eye(plan.sizes.hidden_size, dtype=np.float32), feedback)
    tensors.add_matrix(HEAD, fitted(plan, HEAD, feedback, turned))


def is_head_fitted_first(plan: Plan) -> bool:
    """Whether the source's layers are gone through once more for a table that is embedding and head."""
    return plan.sizes.tied_embeddings and _is_fitted(plan, EMBEDDING) and plan.format_of(EMBEDDING).bits == 4


def _is_fitted(plan: Plan, name: str) -> bool:
    return plan.is_rounded and METHODS[plan.recipe.method].feeds_back and not plan.is_kept(name)


def moments_behind(plan: Plan, texts: list[Text], report: Report) -> Moments:
    """Of what the source's last layer hands on to the head."""
    forward = SourceForward(plan, Layer(plan.skeleton, plan.sizes))
    streams, layers = forward.enter(texts), plan.sizes.num_layers
    for index in range(layers):
        report("look", index, layers, f"layer {index}")
        advance = forward.layer(index)
        streams = [advance(values) for values in streams]
    report("look", layers, layers, "")
    moments = Moments(plan.sizes.hidden_size)
    for values in streams:
        moments.add(values["normed"][0])
    return moments


def fitted(
    plan: Plan,
    name: str,
    feedback: Feedback,
    turned: Floats | None,
    form: Format | None = None,
    rows_at_once: int = ROWS_AT_ONCE,
) -> Quantized:
    """A table `[vocabulary, hidden]`, some rows at a time. turned: `[hidden, hidden]`, what each row is turned by.

    form: the plan's where it is None.
    """
    form, method = form or plan.format_of(name), METHODS[plan.recipe.method]

    def parts() -> Iterator[Quantized]:
        rows = plan.source.tensor(name)
        for start in range(0, len(rows), rows_at_once):
            weight = rows[start : start + rows_at_once].T
            yield quantize(weight if turned is None else turned @ weight, form, method, feedback)

    made = list(parts())
    codes, scales, points = (
        np.concatenate([getattr(each, kind) for each in made]) for kind in ("codes", "scales", "points")
    )
    return Quantized(form, plan.sizes.hidden_size, codes, scales, points)
