"""The head fitted to the texts: one of its own makes good what was lost, a shared one in 4 bits is rounded by them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from export import tables
from export.calibrate import Calibrator
from export.families.base import EMBEDDING, HEAD
from export.pipeline import export_bundle
from export.plan import Plan, make_plan
from export.quantize import Quantized, round_to_nearest
from export.recipe import Limits, Override, Recipe
from export.source import open_source
from export.tensor_file import TensorFile
from export.weights import calibration_of, calibrator_of, write_layer
from tests.export import small_model

TABLE = Override(bits=4, block_size=16, is_symmetric=False)
RECIPE = Recipe(
    licence="none",
    block_size=16,
    context_length=64,
    kv_cache="float",
    calibration_tokens=2048,
    evaluation_tokens=128,
    prompts=("a",),
    limits=Limits(kl_mean=9, top1_agreement=0),
    overrides={"lm_head": TABLE, "model.embed_tokens": TABLE},
)


@pytest.fixture(params=[True, False], ids=["shared", "of its own"])
def plan(tmp_path, request) -> Plan:
    """A small model whose head is the embedding, or is not; its tables in 4 bits."""
    weights = small_model.llama_weights()
    if request.param:
        del weights[HEAD]
    folder = small_model.write_checkpoint(tmp_path / "model", weights, tie_word_embeddings=request.param)
    return make_plan(open_source(folder), RECIPE)


class Kept(TensorFile):
    """A file that remembers the matrices it is given."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.kept: dict[str, Quantized] = {}

    def add_matrix(self, name: str, matrix: Quantized) -> None:
        """Write it, and remember it."""
        self.kept[name] = matrix
        super().add_matrix(name, matrix)


def written(plan: Plan, path: Path) -> tuple[Quantized, Calibrator]:
    """The head as it is written, and the texts behind the last layer."""
    looked, _ = calibration_of(plan)
    with Kept(path) as file:
        table = tables.write_embedding(plan, file, [text for text, _ in looked], lambda *_: None)
        calibrator = calibrator_of(plan, looked, table)
        for index in range(plan.sizes.num_layers):
            write_layer(plan, file, index, calibrator, lambda _: None)
        tables.write_head(plan, file, calibrator)
        return file.kept.get(HEAD, table), calibrator


def test_logits_err_less_than_by_rounding(plan, tmp_path):
    """Over the texts, beside the same table rounded to nearest on the same values: those that it will be read with."""
    head, calibrator = written(plan, tmp_path / "weights")
    exact = plan.source.tensor(EMBEDDING if plan.sizes.tied_embeddings else HEAD)
    plain = round_to_nearest(exact, head.format)
    texts = list(zip(calibrator._wanted, calibrator._seen, strict=True))

    def error(table: Quantized) -> float:
        rows = table.dequantized()
        return sum(
            float(np.square(seen["normed"][0] @ rows.T - wanted["normed"][0] @ exact.T).sum()) for wanted, seen in texts
        )

    assert error(head) < 0.9 * error(plain)


def test_some_rows_at_a_time_are_the_same(plan, tmp_path):
    """However many are fitted together."""
    calibrator = written(plan, tmp_path / "weights")[1]
    feedback = calibrator.behind().feedback()
    name = EMBEDDING if plan.sizes.tied_embeddings else HEAD
    whole, parts = (tables.fitted(plan, name, feedback, None, rows) for rows in (96, 40))
    assert (whole.codes == parts.codes).mean() > 0.999  # products of other shapes sum in another order
    np.testing.assert_allclose(whole.scales, parts.scales, rtol=0.05)


def test_such_a_bundle_answers(plan, tmp_path):
    """Through the engine; its report is of what was written."""
    made = export_bundle(plan.source, plan.recipe, tmp_path / "bundle", False, lambda *_: None)
    assert 0 < made.manifest.fidelity["kl_mean"] < 9
    engine = BatchedEngine(made.path, Options(rows=1, prefix_bytes=0))
    assert answer(engine, Job(1, [{"role": "user", "content": "a"}], 4, ignore_eos=True)).completion_tokens == 4
