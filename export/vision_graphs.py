"""The two graphs that a bundle which sees pictures has beside its decoder: the tower, and the meeting of both kinds.

Their weights lie in the bundle's one tensor file, where the decoder's are.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper

from export.families.base import Dimensions
from export.fusing.nodes import node
from export.graphs import Skeleton, bound, graph_over, head_nodes
from export.operators import quantized
from export.tensor_file import TensorFile
from export.vision import PREFIX, TowerSizes

HIDDEN = "hidden"
FREE = ("pixel_values", "image_sizes", "image_features")
"""What the tower's functions and its graph call alike."""


def vision_model(skeleton: Skeleton, sizes: TowerSizes, tensors: TensorFile, accuracy_level: int) -> onnx.ModelProto:
    """`pixel_values` `[pictures, 1 + crops, 3, 336, 336]`, `image_sizes` `[pictures, 2]` to `image_features`.

    These are `[tokens, width of the decoder]`, one picture after the other.
    """
    head, layer, tail = (skeleton[f"vision_{part}"] for part in ("head", "layer", "tail"))
    nodes = list(_part(head, "head.", {HIDDEN: f"{HIDDEN}.0"}))
    for index in range(sizes.num_layers):
        nodes += _layer(layer, sizes, index)
    nodes += _part(tail, "tail.", {HIDDEN: f"{HIDDEN}.{sizes.num_layers}"})
    floats = tensors.activations
    inputs = [
        helper.make_tensor_value_info("pixel_values", floats, ["num_images", "max_num_crops", 3, 336, 336]),
        helper.make_tensor_value_info("image_sizes", TensorProto.INT64, ["num_images", 2]),
    ]
    shape: list[str | int] = ["num_image_tokens", sizes.text_hidden_size]
    outputs = [helper.make_tensor_value_info("image_features", floats, shape)]
    return graph_over("vision", quantized(nodes, tensors, accuracy_level), inputs, outputs, tensors)


def _part(function: onnx.FunctionProto, prefix: str, names: dict[str, str]) -> Iterator[onnx.NodeProto]:
    """Head or tail, its weights under the checkpoint's names."""
    weights = {name: f"{PREFIX}{name}" for name in function.input if name not in (HIDDEN, *FREE)}
    for each in function.node:
        yield bound(each, {}, {**weights, **dict(zip(FREE, FREE, strict=True)), **names}, prefix)


def _layer(function: onnx.FunctionProto, sizes: TowerSizes, index: int) -> Iterator[onnx.NodeProto]:
    prefix = f"{PREFIX}img_processor.vision_model.encoder.layers.{index}."
    names = {name: prefix + name for name in function.input if name != HIDDEN}
    names |= {HIDDEN: f"{HIDDEN}.{index}", f"next_{HIDDEN}": f"{HIDDEN}.{index + 1}"}
    attributes = {"num_heads": sizes.num_heads, "epsilon": sizes.layer_norm_eps}
    for each in function.node:
        yield bound(each, attributes, names, f"tower.{index}.")


def embedding_model(skeleton: Skeleton, sizes: Dimensions, tensors: TensorFile) -> onnx.ModelProto:
    """`input_ids` `[rows, tokens]`, `image_features` `[places, width]` to `inputs_embeds` `[rows, tokens, width]`.

    An id below zero is a place of a picture; the features go into these places in their order.
    """
    zero = helper.make_tensor("zero", TensorProto.INT64, [], [0])
    nodes = [
        node("Constant", [], ["zero"], value=zero),
        node("Max", ["input_ids", "zero"], ["text_ids"]),
        *head_nodes(skeleton["head"], tensors, "text_ids", "text_embeds"),
        node("Less", ["input_ids", "zero"], ["is_picture"]),
        node("NonZero", ["is_picture"], ["axes"]),
        node("Transpose", ["axes"], ["places"]),
        node("ScatterND", ["text_embeds", "places", "image_features"], ["inputs_embeds"]),
    ]
    floats, width = tensors.activations, sizes.hidden_size
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
        helper.make_tensor_value_info("image_features", floats, ["num_image_tokens", width]),
    ]
    outputs = [helper.make_tensor_value_info("inputs_embeds", floats, ["batch_size", "sequence_length", width])]
    return graph_over("embedding", nodes, inputs, outputs, tensors)
