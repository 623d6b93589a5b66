"""Which experts each token of a mixture goes to, and how much of each: ours beside Transformers' own."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
import pytest

from export.families.held import Variant
from export.graphs import load_skeleton
from export.plan import Plan, plan_of
from export.recipe import recipes
from export.source import open_source
from export.stages import Layer, Text
from tests.export import beside
from tests.export.test_held import SWITCH, checkpoint

KIND = Variant("phimoe", "longrope_scaled", grouped=True, biased=True, head_biased=True)
TEXTS = 8


@pytest.mark.trace
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed")
def test_every_token_goes_where_transformers_sends_it(tmp_path):
    """The same two experts for all tokens of several texts, with the same weights."""
    with beside.quiet():
        model = checkpoint(KIND, tmp_path / "checkpoint")
    plan = plan_of(open_source(tmp_path / "checkpoint"), recipes()["phimoe"])
    for text in beside.texts(plan.sizes.vocab_size, *[SWITCH] * TEXTS):
        for ours, (weights, chosen) in zip(our_routing(plan, text), their_routing(model, text), strict=True):
            assert ((ours > 0).sum(-1) == 2).all()
            assert np.allclose(np.take_along_axis(ours, chosen, -1), weights, atol=1e-4)


def our_routing(plan: Plan, text: list[int]) -> list[np.ndarray]:
    """By layer, `[tokens, experts]`."""
    layer, found = Layer(load_skeleton("phimoe"), plan.sizes), []
    norm = plan.source.tensor("model.layers.0.input_layernorm.weight")
    table = plan.source.tensor("model.embed_tokens.weight")
    values = layer.enter(Text(np.array([text])), table, norm, None, plan.read_outside())
    for index in range(plan.sizes.num_layers):
        read = {f"{module}.weight": f"model.layers.{index}.{module}.weight" for module in plan.family.linear}
        weights = {name: plan.source.tensor(there).T.copy() for name, there in read.items()}
        for stage in layer.stages(index):
            if stage.routing:
                found.append(values[stage.routing][0])
            values = layer.advance(stage, values, {**weights, **plan.read_vectors(index)})
    return found


def their_routing(model: Any, text: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """By layer, the weights and the numbers of the experts chosen, each `[tokens, 2]`."""
    scores: list[Any] = []

    def keep(_module: Any, _inputs: Any, made: Any) -> None:
        scores.append(made[0] if isinstance(made, tuple) else made)

    routers = [module for name, module in model.named_modules() if name.endswith((".router", "block_sparse_moe.gate"))]
    hooks = [router.register_forward_hook(keep) for router in routers]
    beside.their_logits(model, text)
    for hook in hooks:
        hook.remove()
    mixer, jitter = sys.modules[type(model).__module__].sparsemixer, model.config.router_jitter_noise
    return [tuple(each.detach().numpy() for each in mixer(score, jitter, False)) for score in scores]
