"""The whole export tried on two layers before the first matrix of the real one is rounded: seconds instead of an hour.

Whatever can refuse a model does so then: a template, a tokenizer, sizes that the runtime does not take, a file of the
recipe that cannot be read. The first layer and the last: a checkpoint that was cut off lacks the end, and formats
differ at the ends. Everything else is as large as it will be, since that is what the runtime may not take.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge.engine.text.guidance import Vocabulary
from export import pack
from export.assemble import make
from export.errors import ExportError, FidelityError, UnsupportedError
from export.look import sample_cuts
from export.plan import Plan
from export.progress import Report
from export.recipe import Limits, Recipe
from export.source.few_layers import FewLayers

TOKENS = 32
"""Of calibration, and of the text that the loss is measured on: what comes of it is not looked at."""
WORDS = 400
"""Characters of what a runtime says of a model that it does not take; more is its own source's signatures."""


def rehearse(plan: Plan, folder: Path, report: Report) -> None:
    """Make a bundle of two layers in a folder, open it as a board would, ask it, and remove it.

    Raises ExportError where the real one would; UnsupportedError, with its own words, where the runtime refuses.
    """
    report("rehearse", 0, 1, "two layers")
    folder.mkdir()
    with _in_a_sentence(plan, folder):
        _look_at_pictures(plan.recipe)
        make(folder, on_two_layers(plan), lambda *_: None)
        opened = pack.open_bundle(folder, plan.recipe.provider).manifest
        Vocabulary(folder, opened.vocab_size, opened.stop_token_ids)  # a schema can be followed, as the manifest says
    shutil.rmtree(folder)
    report("rehearse", 1, 1, "")


def on_two_layers(plan: Plan) -> Plan:
    """The plan for the first and the last layer, with the quickest rounding that makes the same graph."""
    last = plan.sizes.num_layers - 1
    kept = sorted({0, last})
    recipe = plan.recipe.model_copy(
        update={
            "method": "rtn" if plan.is_rounded else "none",
            "kv_cache": "int8" if plan.has_int8_cache else "float",
            "calibration_tokens": TOKENS,
            "evaluation_tokens": min(TOKENS, plan.recipe.evaluation_tokens),
            "calibration_pictures": min(1, plan.recipe.calibration_pictures),
            "evaluation_pictures": min(1, plan.recipe.evaluation_pictures),
            "oracle": False,
            "limits": Limits(kl_mean=float("inf"), top1_agreement=0),
        }
    )
    sizes = plan.sizes.of_layers(kept)
    return replace(plan, source=FewLayers(plan.source, kept), sizes=sizes, recipe=recipe, is_rehearsal=True)


def _look_at_pictures(recipe: Recipe) -> None:
    """All that the export will look at, where they are given."""
    if recipe.sample_pictures:
        for seed, count in enumerate((recipe.calibration_pictures, recipe.evaluation_pictures)):
            sample_cuts(recipe.sample_pictures, count, seed)


@contextmanager
def _in_a_sentence(plan: Plan, folder: Path) -> Iterator[None]:
    """Whatever fails here is the model's, and a person is to read it."""
    try:
        yield
    except (MemoryError, OSError):
        raise
    except Exception as error:
        if isinstance(error, ExportError) and not isinstance(error, FidelityError):
            raise
        words = " ".join(str(error).split()).replace(str(folder), "the bundle") or type(error).__name__
        raise UnsupportedError(
            f"{plan.source.path} cannot be exported, by two of its layers: {words[:WORDS]}"
        ) from error
