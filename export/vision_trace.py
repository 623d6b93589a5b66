"""Phi-3-vision's picture tower in torch, as Optimum traces it. Only `export/trace.py` and tests import this file.

The tower is Transformers' own CLIP. What makes its patches the language model's tokens is written after the papers:
InternLM-XComposer2-4KHD (arXiv:2404.06512) for crops and separators, the Phi-3 report (arXiv:2404.14219) for the
rest, and agrees with the hub's reference to rounding (`tests/export/test_vision_reference.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from optimum.exporters.onnx.base import OnnxConfig
from optimum.utils import DummyVisionInputGenerator, NormalizedVisionConfig
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel, PreTrainedModel

from export.fusing.nodes import OPSET

MERGE = 2
"""Patches are merged two by two, so that a crop of 24 × 24 patches is 12 × 12 tokens."""


class Phi3VisionConfig(CLIPVisionConfig):  # type: ignore[misc]  # published without annotations
    """The tower's sizes, and the width of the language model that it speaks to."""

    def __init__(self, text_hidden_size: int = 3072, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.text_hidden_size = text_hidden_size


class Phi3Vision(PreTrainedModel):  # type: ignore[misc]  # likewise
    """Crops of several pictures in, the tokens of all of them out, one picture after the other.

    The modules have the checkpoint's names behind `model.vision_embed_tokens`.
    """

    config_class = Phi3VisionConfig
    main_input_name = "pixel_values"

    def __init__(self, config: Phi3VisionConfig) -> None:
        super().__init__(config)
        merged = config.hidden_size * MERGE**2
        self.img_processor = CLIPVisionModel(config)
        self.img_projection = nn.Sequential(
            nn.Linear(merged, config.text_hidden_size),
            nn.GELU(),
            nn.Linear(config.text_hidden_size, config.text_hidden_size),
        )
        self.glb_GN = nn.Parameter(torch.randn(1, 1, merged))
        self.sub_GN = nn.Parameter(torch.randn(1, 1, 1, merged))
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, image_sizes: torch.Tensor) -> dict[str, torch.Tensor]:
        """`image_features` `[tokens, text_hidden_size]`.

        pixel_values: float32 `[pictures, 1 + crops, 3, size, size]`, the whole picture before its crops, those with
        fewer crops than the most padded. image_sizes: int64 `[pictures, 2]`, height and width of the cut picture.
        """
        patches = self._patches(pixel_values.flatten(0, 1))
        separators = torch.cat([self.sub_GN.flatten(0, 2), self.glb_GN.flatten(0, 1)])
        rows = self.img_projection(torch.cat([merged(patches), separators]))
        side = self.config.image_size // self.config.patch_size // MERGE
        grid = image_sizes // self.config.image_size
        return {"image_features": rows[arrangement(grid, pixel_values.shape[1], side, rows.shape[0])]}

    def _patches(self, crops: torch.Tensor) -> torch.Tensor:
        """`[crops, patches, hidden_size]` of the tower's last layer but one, without the class token."""
        tower = self.img_processor.vision_model
        embeddings = tower.embeddings
        patches = embeddings.patch_embedding(crops).flatten(2).transpose(1, 2)
        whole = embeddings.class_embedding.expand(patches.shape[0], 1, -1)
        hidden = tower.pre_layrnorm(torch.cat([whole, patches], dim=1) + embeddings.position_embedding.weight)
        for layer in tower.encoder.layers[:-1]:
            hidden = layer(hidden, None, None)[0]
        return hidden[:, 1:]


def merged(patches: torch.Tensor) -> torch.Tensor:
    """Neighbouring patches side by side: `[crops, patches, width]` to `[tokens of all crops, 4 * width]`."""
    crops, count, width = patches.shape
    side = int(count**0.5)
    half = side // MERGE
    squares = patches.reshape(crops, half, MERGE, half, MERGE, width)
    return squares.permute(0, 1, 3, 2, 4, 5).reshape(-1, MERGE * MERGE * width)


def arrangement(grid: torch.Tensor, crops: int, side: int, rows: int) -> torch.Tensor:
    """Which row each token is: `sub_glb` order, a separator after each line of tokens and one between the two parts.

    grid: `[pictures, 2]`, rows and columns of crops. crops: of each picture, the whole one and padding among them.
    rows: of all tokens, the two separators last.
    """
    line_end, part_end = rows - 2, rows - 1
    first = (torch.arange(grid.shape[0]) * crops * side * side)[:, None, None]
    height, width = grid[:, 0, None, None], grid[:, 1, None, None]
    y = torch.arange(side * grid[:, 0].max())[None, :, None]
    x = torch.arange(side * grid[:, 1].max() + 1)[None, None, :]
    crop = 1 + y // side * width + x // side
    within = first + crop * side * side + y % side * side + x % side
    lines = torch.where(x < side * width, within, line_end).flatten(1)
    is_there = ((y < side * height) & (x <= side * width)).flatten(1)
    column = torch.arange(side + 1)[None, None, :]
    whole = first + torch.arange(side)[None, :, None] * side + column
    whole = torch.where(column < side, whole, line_end).flatten(1)
    between = torch.full_like(whole[:, :1], 0) + part_end
    tokens = torch.cat([lines, between, whole], dim=1)
    wanted = torch.cat([is_there, torch.ones_like(between) > 0, torch.ones_like(whole) > 0], dim=1)
    return tokens[wanted]


class _Sizes(DummyVisionInputGenerator):  # type: ignore[misc]  # published without annotations
    """Two pictures, of four crops and of two, for the trace."""

    SUPPORTED_INPUT_NAMES = ("pixel_values", "image_sizes")

    def generate(self, input_name: str, *_: Any, **__: Any) -> torch.Tensor:
        size = self.height
        if input_name == "image_sizes":
            return torch.tensor([[2 * size, 2 * size], [size, 2 * size]])
        return torch.rand(2, 5, 3, size, size)


class Phi3VisionOnnxConfig(OnnxConfig):  # type: ignore[misc]  # likewise
    """What Optimum is told of the tower; it knows Phi-3's text alone."""

    NORMALIZED_CONFIG_CLASS = NormalizedVisionConfig
    DUMMY_INPUT_GENERATOR_CLASSES = (_Sizes,)
    DEFAULT_ONNX_OPSET = OPSET

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        """Names and free axes, as onnxruntime-genai has them."""
        return {"pixel_values": {0: "num_images", 1: "max_num_crops"}, "image_sizes": {0: "num_images"}}

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        """Likewise."""
        return {"image_features": {0: "num_image_tokens"}}


def tiny_tower(**sizes: Any) -> Phi3Vision:
    """A random tower of two layers that count, seed 0, unless told otherwise."""
    torch.manual_seed(0)
    tiny = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 336,
        "patch_size": 14,
        "text_hidden_size": 24,
        "attn_implementation": "eager",
    }
    model: Phi3Vision = Phi3Vision(Phi3VisionConfig(**{**tiny, **sizes})).eval()
    with torch.no_grad():  # two weights that are alike would be one in the trace
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.05)
    return model


def trace(model: Phi3Vision, path: Path) -> Path:
    """Write the tower's graph through Optimum's ONNX exporter."""
    from optimum.exporters.onnx import export

    export(model, Phi3VisionOnnxConfig(model.config, task="feature-extraction"), path, opset=OPSET)
    return path
