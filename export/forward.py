"""A model's forward pass a layer at a time, so that one layer is in memory: of the source, and of the bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from export.families.base import EMBEDDING, EXPERTS, HEAD
from export.graphs import Skeleton, head_model, layer_model, load_skeleton, tail_model
from export.look import Look, source_tower
from export.mixture import Lazy, as_one
from export.operators import has_int8_cache
from export.plan import Plan
from export.quantize import Floats
from export.runtime import open_graph
from export.stages import Cut, Layer, Text, Values, Weights, surroundings, with_picture
from export.tensor_file import TensorFile
from export.vision import SKELETON
from export.vision_graphs import vision_model

Advance = Callable[[Values], Values]
Feeds = Mapping[str, Floats]
"""Further inputs of a graph, by their names."""


class SourceForward:
    """The checkpoint's own weights in float32."""

    def __init__(self, plan: Plan, layer: Layer) -> None:
        self._plan, self._layer = plan, layer

    def enter(self, texts: list[Text]) -> list[Values]:
        """Texts at the first layer's door."""
        plan = self._plan
        table, norm = plan.source.tensor(EMBEDDING), plan.first_norm
        look = source_tower(plan, plan.tower) if plan.tower else None
        features = (look(text.picture) if look and text.picture else None for text in texts)
        more = plan.read_outside()
        return [self._layer.enter(text, table, norm, its, more) for text, its in zip(texts, features, strict=True)]

    def layer(self, index: int) -> Advance:
        """What takes a text through a layer, that layer's weights being read now."""
        weights = self.weights(index)
        return lambda values: self._layer.through(index, values, weights)

    def weights(self, index: int) -> Weights:
        """A layer's, by their names below it; those of experts are read when they are asked for."""
        plan = self._plan
        names = {f"{module}.weight": f"model.layers.{index}.{module}.weight" for module in plan.family.linear}
        experts = {module: names.pop(module) for module in list(names) if module.startswith(EXPERTS)}
        read = {module: plan.source.tensor(name).T.copy() for module, name in names.items()}
        return as_one(plan.read_vectors(index) | read, Lazy(experts, lambda name: plan.source.tensor(name).T.copy()))

    def logits(self, product: Callable[[Floats], Floats] | None = None) -> Callable[[Floats], Floats]:
        """What makes logits `[tokens, vocabulary]` of the last layer's `normed`.

        product: with another table than the source's.
        """
        times = product or self._times()
        bias = self._plan.read_outside().get("lm_head.bias", np.float32(0))
        cap = np.float32(self._plan.sizes.logit_cap)
        if cap:
            return lambda normed: np.tanh((times(normed) + bias) / cap) * cap
        return lambda normed: times(normed) + bias

    def _times(self) -> Callable[[Floats], Floats]:
        table = self._plan.source.tensor(EMBEDDING if self._plan.sizes.tied_embeddings else HEAD)
        return lambda normed: normed @ table.T


class BundleForward:
    """The bundle's own operators over its own file, in the precision that it is given."""

    def __init__(self, plan: Plan, skeleton: Skeleton, tensors: TensorFile, folder: Path, accuracy_level: int) -> None:
        self._plan, self._skeleton, self._tensors = plan, skeleton, tensors
        self._folder, self._level = folder, accuracy_level
        self._cache_type = "int8" if has_int8_cache(tensors) else plan.float_type

    def enter(self, texts: list[Text]) -> list[Values]:
        """Texts at the first layer's door."""
        run = open_graph(head_model(self._skeleton, self._plan.sizes, self._tensors), self._folder)
        norm, look = self._plan.first_norm, self._look()
        entered = []
        for text in texts:
            ids = np.maximum(text.tokens, 0)
            feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            values = _values(*run(["layer.0.normed", "layer.0.residual"], feeds))
            features = look(text.picture) if look and text.picture else None
            entered.append(with_picture(values, text, features, norm, self._plan.sizes.rms_norm_eps))
        return entered

    def _look(self) -> Look | None:
        """The bundle's own tower, where it has one."""
        if self._plan.tower is None:
            return None
        model = vision_model(load_skeleton(SKELETON), self._plan.tower, self._tensors, self._level)
        run, kind = open_graph(model, self._folder), self._plan.float_type

        def look(cut: Cut) -> Floats:
            feeds = {"pixel_values": cut.crops[None].astype(kind), "image_sizes": cut.sizes()}
            return run(["image_features"], feeds)[0].astype(np.float32)

        return look

    def layer(self, index: int) -> Advance:
        """What takes a text through a layer."""
        sizes, (model, beside) = self._plan.sizes, self.layer_graph(index)
        run = open_graph(model, self._folder)
        wanted = [f"layer.{index + 1}.normed", f"layer.{index + 1}.residual"]

        def advance(values: Values) -> Values:
            around = surroundings(sizes, values["normed"].shape[1], sizes.attention_of(index))
            feeds: dict[str, NDArray[np.generic]] = {
                f"layer.{index}.{name}": value.astype(self._plan.float_type) for name, value in values.items()
            }
            for part in ("key", "value"):
                feeds[f"past_key_values.{index}.{part}"] = around[f"past_{part}"].astype(self._cache_type)
            return _values(*run(wanted, {**feeds, **around, **beside}))

        return advance

    def layer_graph(self, index: int) -> tuple[onnx.ModelProto, Feeds]:
        """A layer, and what it is fed with beside the values that pass through it."""
        return layer_model(self._skeleton, self._plan.sizes, self._tensors, self._level, index), {}

    def logits(self) -> Callable[[Floats], Floats]:
        """What makes logits `[tokens, vocabulary]` of the last layer's `normed`."""
        run = open_graph(tail_model(self._skeleton, self._plan.sizes, self._tensors, self._level), self._folder)
        return lambda normed: run(["logits"], {"normed": normed[None].astype(self._plan.float_type)})[0][0].astype(
            np.float32
        )


def _values(normed: NDArray[np.floating], residual: NDArray[np.floating]) -> Values:
    return {"normed": normed.astype(np.float32), "residual": residual.astype(np.float32)}
