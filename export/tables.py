"""The embedding and the head in blocks: rounded to nearest, or, what makes logits, fitted to what the texts show.

A head of its own is fitted last, to what the rounded layers hand on, and makes good some of what they lost. One that
shares the embedding's table has to be there before the first layer is, so that it is fitted to the source's own values;
in 8 bits it loses nothing that fitting would save. Its first rows may have 8 bits where the others have 4: vocabularies
are in the order of their merges, and few tokens are most of a text (decision 92).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export.calibrate import Calibrator
from export.families.base import EMBEDDING, HEAD
from export.forward import SourceForward
from export.plan import Plan
from export.progress import Report
from export.quantize import METHODS, Feedback, Floats, Format, Moments, Quantized, quantize
from export.stages import Layer, Text
from export.tensor_file import TensorFile, first_of

ROWS_AT_ONCE = 8192
"""Of a table, fitted together: its floats and errors are in memory for these alone."""

Make = Callable[[Floats, Format], Quantized]
"""Some rows `[rows, hidden]` in a format."""


@dataclass(frozen=True)
class Table:
    """A table `[vocabulary, hidden]`. parts: its first rows, where these have more bits, and the others."""

    parts: tuple[Quantized, ...]

    def rows(self, ids: NDArray[np.int64]) -> Floats:
        """Some of its rows in floats, by their numbers, in any order."""
        found = np.empty((len(ids), self.parts[0].columns), np.float32)
        start = 0
        for part in self.parts:
            here = (ids >= start) & (ids < start + part.rows)
            found[here] = part.part(ids[here] - start).dequantized()
            start += part.rows
        return found

    def times(self, values: Floats) -> Floats:
        """The product of `[tokens, hidden]` with all rows, `[tokens, vocabulary]`, some in floats at a time."""
        slabs = (
            part.part(slice(at, at + ROWS_AT_ONCE)) for part in self.parts for at in range(0, part.rows, ROWS_AT_ONCE)
        )
        return np.concatenate([values @ slab.dequantized().T for slab in slabs], axis=1)

    def write(self, tensors: TensorFile, name: str) -> None:
        """Append it under the name of the weight that it stands for."""
        names = [name] if len(self.parts) == 1 else [first_of(name), name]
        for each, part in zip(names, self.parts, strict=True):
            tensors.add_matrix(each, part)


def stored_or_rounded(plan: Plan, name: str, method: str) -> Quantized:
    """A matrix in the blocks it is stored in, else by a method that looks at no text."""
    kept = plan.source.stored_blocks(name) if plan.is_kept(name) else None
    return kept or quantize(plan.source.tensor(name).T, plan.format_of(name), METHODS[method])


def write_embedding(plan: Plan, tensors: TensorFile, texts: list[Text], report: Report) -> Table:
    """The embedding, which comes back. texts: what it is fitted to where it is the head, too."""
    kept = plan.source.stored_blocks(EMBEDDING) if plan.is_kept(EMBEDDING) else None
    if kept:
        table = Table((kept,))
    elif texts and is_head_fitted_first(plan):
        table = table_of(plan, EMBEDDING, fitting(plan, moments_behind(plan, texts, report).feedback(keeps=False)))
    else:
        table = table_of(plan, EMBEDDING, to_nearest)
    table.write(tensors, EMBEDDING)
    return table


def write_head(plan: Plan, tensors: TensorFile, calibrator: Calibrator | None) -> None:
    """A head of its own. calibrator: behind the last layer, None where no texts were looked at."""
    if plan.sizes.tied_embeddings:
        return
    if plan.is_kept(HEAD):
        tensors.add_matrix(HEAD, stored_or_rounded(plan, HEAD, "rtn"))
    elif calibrator is None or not _is_fitted(plan, HEAD):
        table_of(plan, HEAD, to_nearest).write(tensors, HEAD)
    else:
        moments = calibrator.behind()
        feedback = moments.feedback()
        turned = moments.corrected(np.eye(plan.sizes.hidden_size, dtype=np.float32), feedback)
        table_of(plan, HEAD, fitting(plan, feedback, turned)).write(tensors, HEAD)


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


def table_of(plan: Plan, name: str, make: Make, rows_at_once: int = ROWS_AT_ONCE) -> Table:
    """A table as the recipe says, some rows at a time."""
    form, first, rows = plan.format_of(name), plan.recipe.first_rows(name), plan.source.tensor(name)
    parts = [(rows[:first], first_format(form)), (rows[first:], form)]
    return Table(tuple(whole(part, its, make, rows_at_once) for part, its in parts if len(part)))


def first_format(form: Format) -> Format:
    """What first rows have where the others have a format."""
    return replace(form, bits=8)


def to_nearest(rows: Floats, form: Format) -> Quantized:
    """Each weight to its nearest code."""
    return quantize(rows.T, form, METHODS["rtn"])


def fitting(plan: Plan, feedback: Feedback, turned: Floats | None = None) -> Make:
    """What fits rows to the values that they multiply. turned: `[hidden, hidden]`, what each row is turned by."""
    method = METHODS[plan.recipe.method]
    return lambda rows, form: quantize(rows.T if turned is None else turned @ rows.T, form, method, feedback)


def whole(rows: Floats, form: Format, make: Make, rows_at_once: int = ROWS_AT_ONCE) -> Quantized:
    """All rows in one format."""
    made = list(_parts(rows, form, make, rows_at_once))
    codes, scales, points = (
        np.concatenate([getattr(each, kind) for each in made]) for kind in ("codes", "scales", "points")
    )
    return Quantized(form, rows.shape[1], codes, scales, points)


def _parts(rows: Floats, form: Format, make: Make, rows_at_once: int) -> Iterator[Quantized]:
    for start in range(0, len(rows), rows_at_once):
        yield make(rows[start : start + rows_at_once], form)
