"""A folder of sentence-transformers with a small BERT of random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from benchmarks.token_forms import word_piece

CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 96,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 48,
    "model_type": "bert",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "vocab_size": 1201,
}
POOLING = {"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
CARD = "---\nlanguage: en\nlicense: apache-2.0\n---\n# Small\n"
TEXTS = (
    "A short question?",
    "",
    "The import statement finds a module, loads it where it is not there yet, and binds its name.",
    "Ünïcode, 日本語 and 🙂 are words that nobody knows.",
    "over and over again " * 40,
)
"""One empty, one longer than any of the small models reads."""


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Every tensor of Transformers' BertModel, the pooler's among them."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    made: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], width),
    }
    norms, linears = ["embeddings.LayerNorm"], {"pooler.dense": (width, width)}
    for layer in (f"encoder.layer.{index}" for index in range(config["num_hidden_layers"])):
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        linears |= {f"{layer}.attention.self.{part}": (width, width) for part in ("query", "key", "value")}
        linears |= {f"{layer}.attention.output.dense": (width, width)}
        linears |= {f"{layer}.intermediate.dense": (inner, width), f"{layer}.output.dense": (width, inner)}
    for name in norms:
        made |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    for name, shape in linears.items():
        made |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return made


def weights(config: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Random ones, large enough for attention and GELU to matter; the norms' are around 1 and 0."""
    random, made = np.random.default_rng(seed), {}
    for name, shape in shapes(config).items():
        centre, width = (1, 0.3) if name.endswith("LayerNorm.weight") else (0, 2 / shape[-1] ** 0.5)
        made[name] = (centre + width * random.standard_normal(shape)).astype(np.float32)
    return made


def tokenizer() -> dict[str, Any]:
    """WordPiece, with BERT's ends, cut and filled as old folders have it."""
    told = json.loads(json.dumps(word_piece()))
    told["model"]["vocab"]["[PAD]"] = 1200  # Transformers fills with it
    told["added_tokens"].append({**told["added_tokens"][0], "id": 1200, "content": "[PAD]"})
    ids = {mark: told["model"]["vocab"][mark] for mark in ("[CLS]", "[SEP]")}
    told["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {mark: {"id": mark, "ids": [number], "tokens": [mark]} for mark, number in ids.items()},
    }
    told["truncation"] = {"max_length": 16, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    return told


def write(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """The folder. changes: of config.json."""
    config = {**CONFIG, **changes}
    folder.mkdir(parents=True)
    (folder / "1_Pooling").mkdir()
    save_file(weights(config, seed), folder / "model.safetensors")
    pooling = {**POOLING, "word_embedding_dimension": config["hidden_size"]}
    said = {"config.json": config, "modules.json": MODULES, "1_Pooling/config.json": pooling}
    said |= {"sentence_bert_config.json": {"max_seq_length": 32, "do_lower_case": False}, "tokenizer.json": tokenizer()}
    for name, value in said.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder


def change(folder: Path, name: str, **changes: Any) -> None:
    """Keys of one of its JSON files; one that is None goes."""
    told = {**json.loads((folder / name).read_text(encoding="utf-8")), **changes}
    (folder / name).write_text(json.dumps({key: value for key, value in told.items() if value is not None}))
