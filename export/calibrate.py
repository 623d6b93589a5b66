"""Layer by layer over calibration text: what each matrix sees, and what the next layer sees after quantising.

The stamped layer is its own calibrator. It runs in onnxruntime with its weights as inputs, so that one session
serves every layer; the inputs of its MatMuls come out as taps and are summed to second moments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.families.base import Dimensions, Family
from export.graphs import Skeleton, function_model, layer_attributes, rotary_tables
from export.runtime import Runner, open_graph

Floats = NDArray[np.float32]
Tokens = NDArray[np.int64]
Weights = Mapping[str, Floats]


@dataclass
class Stream:
    """One calibration text on its way through the layers: float32 `[1, tokens, hidden_size]` each."""

    normed: Floats
    residual: Floats


class Calibrator:
    """The layers of one checkpoint, run one at a time over a few texts."""

    def __init__(self, family: Family, sizes: Dimensions, skeleton: Skeleton) -> None:
        self._family, self._sizes, self._skeleton = family, sizes, skeleton
        self.reads = _matmul_inputs(skeleton)
        """By the name of each weight of the layer, the value that it is multiplied with."""
        attributes = layer_attributes(sizes)
        self._tapped = open_graph(function_model(skeleton["layer"], attributes, tuple(set(self.reads.values()))))
        self._plain = open_graph(function_model(skeleton["layer"], attributes))
        self._streams: list[Stream] = []

    def enter(self, texts: list[Tokens], embedding: Floats, norm: Floats) -> None:
        """Take each text, int64 `[1, tokens]`, through the head to the first layer."""
        head = open_graph(function_model(self._skeleton["head"], layer_attributes(self._sizes)))
        weights = {"model.embed_tokens.weight": embedding, "model.layers.0.input_layernorm.weight": norm}
        for text in texts:
            made = head(["normed", "residual"], {"input_ids": text, "attention_mask": np.ones_like(text), **weights})
            self._streams.append(Stream(*made))

    def moments(self, weights: Weights) -> dict[str, Floats]:
        """For each value that matrices of the layer read, the sum of x xᵀ over it, float32 `[K, K]`."""
        taps = sorted(set(self.reads.values()))
        sums: dict[str, Floats] = {}
        for stream in self._streams:
            for tap, value in zip(taps, self._run(self._tapped, taps, stream, weights), strict=True):
                rows = value.reshape(-1, value.shape[-1])
                product = rows.T @ rows
                sums[tap] = sums[tap] + product if tap in sums else product
        return sums

    def advance(self, weights: Weights) -> None:
        """Take every stream through the layer, in place."""
        for stream in self._streams:
            made = self._run(self._plain, ["next_normed", "next_residual"], stream, weights)
            stream.normed, stream.residual = made

    def _run(self, session: Runner, outputs: list[str], stream: Stream, weights: Weights) -> list[Floats]:
        length = stream.normed.shape[1]
        cosines, sines = rotary_tables(self._sizes, length)
        empty = np.zeros((1, self._sizes.num_kv_heads, 0, self._sizes.head_size), np.float32)
        feeds = {
            "normed": stream.normed,
            "residual": stream.residual,
            "past_key": empty,
            "past_value": empty,
            "seqlens_k": np.array([length - 1], np.int32),
            "total_sequence_length": np.array(length, np.int32),
            "cos_cache": cosines,
            "sin_cache": sines,
        }
        return session(outputs, {**feeds, **weights})


def _matmul_inputs(skeleton: Skeleton) -> dict[str, str]:
    """Which value each weight of the layer is multiplied with."""
    nodes: Iterator[tuple[str, str]] = (
        (node.input[1], node.input[0]) for node in skeleton["layer"].node if node.op_type == "MatMul"
    )
    return dict(nodes)
