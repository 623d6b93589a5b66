"""The head fitted to the texts: one of its own makes good what was lost, a shared one in 4 bits is rounded by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from export import tables
from export.calibrate import Calibrator
from export.families.base import EMBEDDING, HEAD
from export.fidelity import Sample, compare
from export.forward import BundleForward, SourceForward
from export.pipeline import export_bundle
from export.plan import Plan, make_plan
from export.quantize import Quantized, round_to_nearest
from export.recipe import Limits, Override, Recipe
from export.size import weights_bytes
from export.source import Source, open_source
from export.source.wrapped import WrappedSource
from export.stages import Layer
from export.tensor_file import TensorFile, first_of
from export.weights import calibration_of, calibrator_of, write_layer, write_weights
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
        return file.kept[EMBEDDING if plan.sizes.tied_embeddings else HEAD], calibrator


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
    made = (tables.table_of(plan, name, tables.fitting(plan, feedback), rows) for rows in (96, 40))
    whole, parts = (each.parts[0] for each in made)
    assert (whole.codes == parts.codes).mean() > 0.999  # products of other shapes sum in another order
    np.testing.assert_allclose(whole.scales, parts.scales, rtol=0.05)


def test_such_a_bundle_answers(plan, tmp_path):
    """Through the engine; its report is of what was written."""
    made = export_bundle(plan.source, plan.recipe, tmp_path / "bundle", False, lambda *_: None)
    assert 0 < made.manifest.fidelity["kl_mean"] < 9
    engine = BatchedEngine(made.path, Options(rows=1, prefix_bytes=0))
    assert answer(engine, Job(1, [{"role": "user", "content": "a"}], 4, ignore_eos=True)).completion_tokens == 4


FIRST = 37
"""Rows that no block of anything ends at."""


@pytest.fixture
def split(plan) -> Plan:
    """The same with some first rows of its tables in 8 bits."""
    table = TABLE.model_copy(update={"first_rows": FIRST})
    overrides = {"lm_head": table, "model.embed_tokens": table}
    return replace(plan, recipe=plan.recipe.model_copy(update={"overrides": overrides}))


def test_first_rows_have_8_bits(split, tmp_path):
    """They err a hundredth of what the others do; a table in two parts has all rows, and makes all products."""
    with TensorFile(tmp_path / "weights") as file:
        table = tables.table_of(split, EMBEDDING, tables.to_nearest)
        table.write(file, EMBEDDING)
    exact = split.source.tensor(EMBEDDING)
    assert [part.rows for part in table.parts] == [FIRST, len(exact) - FIRST]
    assert [file.matrices[name].format.bits for name in (first_of(EMBEDDING), EMBEDDING)] == [8, 4]
    ids = np.random.default_rng(0).permutation(len(exact))
    rows = table.rows(ids)
    error = np.square(rows - exact[ids]).mean(1)
    assert error[ids < FIRST].mean() < 0.01 * error[ids >= FIRST].mean()
    values = np.random.default_rng(1).standard_normal((3, exact.shape[1])).astype(np.float32)
    np.testing.assert_allclose(table.times(values), values @ table.rows(np.arange(len(exact))).T, rtol=1e-4, atol=1e-5)


class RoundedTables(WrappedSource):
    """A source as the plan's recipe rounds it to nearest, its tables in two parts."""

    def __init__(self, inner: Source, plan: Plan) -> None:
        super().__init__(inner)
        self._plan = plan

    def tensor(self, name: str) -> np.ndarray:
        value = super().tensor(name)
        if name in (EMBEDDING, HEAD):
            return tables.table_of(self._plan, name, tables.to_nearest).rows(np.arange(len(value)))
        return value if value.ndim == 1 else round_to_nearest(value, self._plan.format_of(name)).dequantized()


def test_the_graph_reads_both_parts(split, tmp_path):
    """Every token's row and every token's logit are those of its part: the bundle's operators beside plain products."""
    plan = replace(split, recipe=split.recipe.model_copy(update={"method": "rtn"}))
    with TensorFile(tmp_path / "model.onnx.data") as file:
        write_weights(plan, file, lambda *_: None)
    source = SourceForward(replace(plan, source=RoundedTables(plan.source, plan)), Layer(plan.skeleton, plan.sizes))
    bundle = BundleForward(plan, plan.skeleton, file, tmp_path, 0)
    words = np.arange(plan.sizes.vocab_size)
    samples = [Sample("text", words[None, part]) for part in (slice(60), slice(40, None))]
    (found,) = compare(source, [bundle], samples, plan.sizes.num_layers, lambda *_: None)
    assert found.losses["text"].kl_mean < 1e-9


def test_two_parts_answer(split, tmp_path):
    """Through the engine; the file is as large as was reckoned. Graphs of fixed shapes have one format a table."""
    made = export_bundle(split.source, split.recipe, tmp_path / "bundle", False, lambda *_: None)
    engine = BatchedEngine(made.path, Options(rows=1, prefix_bytes=0))
    job = Job(1, [{"role": "user", "content": "a"}], 4, ignore_eos=True)
    assert answer(engine, job).completion_tokens == 4
    assert made.manifest.weights_bytes == weights_bytes(split)
    fixed = split.recipe.model_copy(update={"provider": "qnn"})
    assert fixed.first_rows(HEAD) == fixed.first_rows(EMBEDDING) == 0
