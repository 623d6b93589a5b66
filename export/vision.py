"""The picture tower of a checkpoint: its sizes, its tensors, and how they come into a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge.bundle import Pictures
from export.errors import SourceError, UnsupportedError
from export.families.base import LAYERS_MOST, Config
from export.families.keys import Table, check_known, named
from export.families.values import number, whole
from export.fusing.vision import LINEAR, NORMS

SKELETON = "phi3_v"
PREFIX = "model.vision_embed_tokens."
TOWER = f"{PREFIX}img_processor.vision_model."
LAYERS = f"{TOWER}encoder.layers."

TOWERS: dict[str, dict[str, Any]] = {
    "openai/clip-vit-large-patch14-336": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "layer_norm_eps": 1e-5,
    }
}
"""The towers that a checkpoint may name, with the sizes that its config leaves out (Transformers' CLIPVisionConfig)."""
CROP_SIZE, PATCH_SIZE, SIDE_TOKENS = 336, 14, 12
"""What the skeleton was traced with; its constants hold no other."""
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the tower's training pictures, red, green and blue (arXiv:2103.00020's code)."""
CROPS_MAX = 16
"""As many as the model was trained with."""
HD_TRANSFORM = {
    "use_hd_transform": True,
    "with_learnable_separator": True,
    "hd_transform_order": "sub_glb",
    "projection_cls": "mlp",
}
"""What the skeleton does, by the names of config.json's `embd_layer`."""
IN_TOWER = "config.json's img_processor"
TOWER_KEYS: Table = {
    **named(
        "it is read",
        "model_name hidden_size intermediate_size num_hidden_layers num_attention_heads layer_norm_eps image_dim_out",
    ),
    **named("it counts in training alone", "attention_dropout dropout initializer_range initializer_factor"),
    **named("pictures are read from the last layer but one", "layer_idx", -2),
    **named("pictures are read without the class token", "type_feature", "patch"),
    **named("the tower is a CLIP", "name", "clip_vision_model"),
    **named("the skeleton holds no other", "num_img_tokens", SIDE_TOKENS**2),
    **named("the skeleton holds no other", "image_size", CROP_SIZE),
    **named("the skeleton holds no other", "patch_size", PATCH_SIZE),
    **named("the skeleton holds no other", "num_channels", 3),
    **named("the skeleton holds no other", "hidden_act", "quick_gelu"),
}
LAYER_KEYS: Table = {
    **named("it is read", " ".join(HD_TRANSFORM)),
    **named("what it puts among the words is a picture", "embedding_cls", "image"),
}


@dataclass(frozen=True)
class TowerSizes:
    """num_layers: of those that count; the tower's last one makes nothing that is looked at."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    layer_norm_eps: float
    text_hidden_size: int

    @classmethod
    def from_config(cls, config: Config) -> TowerSizes:
        """Of a `config.json`; UnsupportedError where its tower is another than the skeleton's."""
        given, layer = (_within(config, key) for key in ("img_processor", "embd_layer"))
        if given.get("model_name") not in TOWERS:
            raise UnsupportedError(
                f"the picture tower {given.get('model_name')!r} is not exported; {', '.join(TOWERS)} is"
            )
        for name, wanted in HD_TRANSFORM.items():
            if (found := layer.get(name)) != wanted:
                raise UnsupportedError(f"config.json's embd_layer.{name} is {found!r}, but only {wanted!r} is exported")
        check_known(given, TOWER_KEYS, IN_TOWER)
        check_known(layer, LAYER_KEYS, "config.json's embd_layer")
        sizes = {**TOWERS[given["model_name"]], **given}
        if (width := whole(sizes, "hidden_size", IN_TOWER)) != sizes.get("image_dim_out", width):
            raise SourceError(f"{IN_TOWER} has an image_dim_out that is not its tower's hidden_size, {width}")
        return cls(
            hidden_size=width,
            intermediate_size=whole(sizes, "intermediate_size", IN_TOWER),
            num_layers=whole(sizes, "num_hidden_layers", IN_TOWER, most=LAYERS_MOST) - 1,
            num_heads=whole(sizes, "num_attention_heads", IN_TOWER),
            layer_norm_eps=number(sizes, "layer_norm_eps", IN_TOWER, below=1),
            text_hidden_size=whole(config, "hidden_size"),
        )

    @property
    def merged_size(self) -> int:
        """Four neighbouring patches side by side."""
        return 4 * self.hidden_size

    def matrices(self) -> dict[str, tuple[int, int]]:
        """What is multiplied with, `[out, in]`, in the order of the graph."""
        found = {name: shape for index in range(self.num_layers) for name, shape in self._layer_matrices(index)}
        text = self.text_hidden_size
        return found | {
            f"{PREFIX}img_projection.0.weight": (text, self.merged_size),
            f"{PREFIX}img_projection.2.weight": (text, text),
        }

    def _layer_matrices(self, index: int) -> Iterator[tuple[str, tuple[int, int]]]:
        for module in LINEAR:
            yield f"{LAYERS}{index}.{module}.weight", self._shape_of(module)

    def _shape_of(self, module: str) -> tuple[int, int]:
        hidden, inner = self.hidden_size, self.intermediate_size
        return {"mlp.fc1": (inner, hidden), "mlp.fc2": (hidden, inner)}.get(module, (hidden, hidden))

    def others(self) -> dict[str, tuple[int, ...]]:
        """Every other tensor: the patch convolution, positions, norms, biases, separators."""
        hidden = self.hidden_size
        found: dict[str, tuple[int, ...]] = {
            f"{PREFIX}glb_GN": (1, 1, self.merged_size),
            f"{PREFIX}sub_GN": (1, 1, 1, self.merged_size),
            f"{TOWER}embeddings.class_embedding": (hidden,),
            f"{TOWER}embeddings.patch_embedding.weight": (hidden, 3, PATCH_SIZE, PATCH_SIZE),
            f"{TOWER}embeddings.position_embedding.weight": ((CROP_SIZE // PATCH_SIZE) ** 2 + 1, hidden),
            **dict.fromkeys((f"{TOWER}pre_layrnorm.{kind}" for kind in ("weight", "bias")), (hidden,)),
            **dict.fromkeys((f"{PREFIX}img_projection.{part}.bias" for part in (0, 2)), (self.text_hidden_size,)),
        }
        for index in range(self.num_layers):
            norms = (f"{LAYERS}{index}.{norm}.{kind}" for norm in NORMS for kind in ("weight", "bias"))
            found |= dict.fromkeys(norms, (hidden,))
            found |= {f"{LAYERS}{index}.{module}.bias": self._shape_of(module)[:1] for module in LINEAR}
        return found


def _within(config: Config, key: str) -> Config:
    """An object within a config; an empty one where there is none."""
    value = config.get(key) or {}
    if not isinstance(value, Mapping):
        raise SourceError(f"config.json's {key} should be an object, but is {value!r}")
    return value


def pictures() -> Pictures:
    """What a manifest says of pictures."""
    return Pictures(crop_size=CROP_SIZE, side_tokens=SIDE_TOKENS, crops_max=CROPS_MAX, mean=CLIP_MEAN, std=CLIP_STD)


def genai_sections(files: dict[str, str]) -> dict[str, Any]:
    """What onnxruntime-genai's config has beside a text model's. files: of the graphs, by their sections' names."""
    return {
        "embedding": {
            "filename": files["embedding"],
            "inputs": {"input_ids": "input_ids", "image_features": "image_features"},
            "outputs": {"inputs_embeds": "inputs_embeds"},
        },
        "vision": {
            "filename": files["vision"],
            "config_filename": "processor_config.json",
            "inputs": {"pixel_values": "pixel_values", "image_sizes": "image_sizes"},
            "outputs": {"image_features": "image_features"},
        },
    }


def genai_processor() -> dict[str, Any]:
    """processor_config.json: how onnxruntime-genai turns a picture into crops (onnxruntime-extensions' operators)."""
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("decode_image", "DecodeImage", {"color_space": "BGR"}),
        ("convert_to_rgb", "ConvertRGB", {}),
        ("phi3_image_transform", "Phi3ImageTransform", {"num_crops": CROPS_MAX, "num_img_tokens": SIDE_TOKENS**2}),
    ]
    operations = (
        {"name": name, "domain": "com.microsoft.extensions", "type": kind, **({"attrs": given} if given else {})}
        for name, kind, given in steps
    )
    return {"processor": {"name": "image_processing", "transforms": [{"operation": each} for each in operations]}}
