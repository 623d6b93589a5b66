"""A small Phi-3.5-MoE with real routing: exported, asked by the batched engine, refused where it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edge.bundle import GRAPH, read_manifest
from edge.engine import Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.graph.io_binding import IS_PREFILL
from export.calibrate import FEW, Calibrator
from export.errors import UnsupportedError
from export.families.base import Dimensions
from export.families.phimoe import FAMILY
from export.graphs import load_skeleton
from export.plan import make_plan
from export.recipe import recipes
from export.source import open_source
from export.stages import Layer
from tests.edge.engine.test_batched import PLAIN, QUESTIONS, job, said, together
from tests.export import small_moe


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights."""
    return small_moe.make(tmp_path_factory.mktemp("moe") / "checkpoint")


@pytest.fixture(scope="module")
def bundle(checkpoint: Path) -> Path:
    """By GPTQ, with int8 keys."""
    return small_moe.export(checkpoint, checkpoint.parent / "bundle")


def test_the_bundle_is_what_its_recipe_says(bundle):
    """Experts in 4 bits by texts, keys in 8, prompts read another way than answers; nothing of the router rounded."""
    manifest, model = read_manifest(bundle), onnx.load(bundle / GRAPH, load_external_data=False)
    assert (manifest.family, manifest.quantization.method, manifest.kv_cache) == ("phimoe", "gptq", "int8")
    assert manifest.held_to == ["transformers 4.57"]
    assert IS_PREFILL in [each.name for each in model.graph.input]
    codes = [each.name for each in model.graph.initializer if each.name.endswith(".codes")]
    assert sum(".experts." in name for name in codes) == 2 * 8 * 2
    assert not any("gate.weight" in name for name in codes)


def test_answers_together_are_those_alone(bundle):
    """Rows of several lengths, whose tokens go to the same experts or to others."""
    engine = BatchedEngine(bundle, PLAIN)
    seeded = [job(number, text, seed=0) for number, text in enumerate(QUESTIONS)]
    alone = {each.id: said(engine, each) for each in seeded}
    assert together(engine, seeded, [0] * len(QUESTIONS)) == alone
    assert together(engine, seeded, range(len(QUESTIONS))) == alone
    assert len(set(alone.values())) > 1


def test_known_beginnings_and_guesses_change_no_token(bundle, tmp_path):
    """An answer with neither, with guesses, and again with what is known of the question, in memory and on disk."""
    asked = [job(number, text * 3, 40, seed=0) for number, text in enumerate(QUESTIONS[2:])]
    plain = BatchedEngine(bundle, PLAIN)
    wanted = [said(plain, each) for each in asked]
    options = Options(cache_folder=str(tmp_path), packs=False, prefix_disk_bytes=1 << 30)
    engine = BatchedEngine(bundle, options)
    assert [said(engine, each) for each in asked] == wanted
    again = [answer(engine, each) for each in asked]
    assert max(each.cached_tokens for each in again) > 0
    engine.close()
    restarted = BatchedEngine(bundle, options)
    assert [said(restarted, each) for each in asked] == wanted


def test_an_expert_is_fitted_to_the_tokens_that_reach_it(checkpoint):
    """As many as are sent there; all of them where those are few."""
    plan = make_plan(open_source(checkpoint), recipes()["phimoe"])
    layer = Layer(load_skeleton("phimoe"), plan.sizes)
    stage = layer.stages(0)[-1]
    routing = np.zeros((1, 100, 8), np.float32)
    routing[0, :FEW, 3], routing[0, FEW:, 4] = 0.5, 0.5
    text = {"mlp_input": np.ones((1, 100, 64), np.float32), "routing": routing, "middle": np.ones((1, 100, 64))}
    calibrator = Calibrator(layer, [text], [text])
    counts = [calibrator.reaching(stage, number)._seen[0]["expert_input"].shape[1] for number in (3, 4, 5)]
    assert counts == [FEW, 100, 100]


def test_what_is_not_exported_is_refused_by_its_name(checkpoint):
    """A GPU, which would want other operators, and three experts a token."""
    source, recipe = open_source(checkpoint), recipes()["phimoe"]
    with pytest.raises(UnsupportedError, match="--provider cpu"):
        make_plan(source, recipe.model_copy(update={"provider": "cuda"}))
    three = {**small_moe.CONFIG, "num_experts_per_tok": 3}
    with pytest.raises(UnsupportedError, match="num_experts_per_tok"):
        Dimensions.from_config(three, FAMILY)
