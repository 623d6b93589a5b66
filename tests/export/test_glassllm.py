"""Real fp16 weights with shared key heads through the export, against their own package's numpy forward pass."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from glassllm import GlassLM, load_pretrained
from glassllm import Tokenizer as GlassTokenizer
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from export.pipeline import export_bundle
from export.quantize import round_to_nearest
from export.recipe import Recipe
from export.source import open_source

TEXT = (
    "It was a bright morning when Alice followed the rabbit down the hill, and she said to herself that nothing "
    "could be so very strange as to find a door in a tree. 'If I were to open it,' she thought, 'I should see the "
    "garden that the Queen spoke of.' So she turned the little golden key and went in. "
)
PLACES = {
    "attn.W_Q": "self_attn.q_proj",
    "attn.W_K": "self_attn.k_proj",
    "attn.W_V": "self_attn.v_proj",
    "attn.W_O": "self_attn.o_proj",
    "ffn.W1": "mlp.gate_proj",
    "ffn.W3": "mlp.up_proj",
    "ffn.W2": "mlp.down_proj",
    "norm1.gamma": "input_layernorm",
    "norm2.gamma": "post_attention_layernorm",
}
EXACT = Recipe(licence="MIT", method="rtn", bits=8, block_size=16, accuracy_level=0, context_length=128, prompts=())
"""Asked nothing: the engine cannot read a tokenizer that has neither bytes nor a token for each (map::at)."""


def llama_name(name: str) -> str:
    """A parameter's name as Transformers has it."""
    if name in {"E", "norm_f.gamma"}:
        return {"E": "model.embed_tokens.weight", "norm_f.gamma": "model.norm.weight"}[name]
    _, index, short = name.split(".", 2)
    return f"model.layers.{index}.{PLACES[short]}.weight"


def llama_layout(model: GlassLM, name: str, value: np.ndarray) -> np.ndarray:
    """A parameter as `[out, in]`, the pairs of a rotated head apart."""
    if name == "E" or value.ndim == 1:
        return value
    rows = value.T
    if name.endswith(("W_Q", "W_K")):
        half = model.cfg.d_model // model.cfg.n_heads // 2
        rows = rows.reshape(-1, half, 2, model.cfg.d_model).swapaxes(1, 2).reshape(rows.shape)
    return np.ascontiguousarray(rows)


def glass_layout(model: GlassLM, name: str, rows: np.ndarray) -> np.ndarray:
    """The way back."""
    if name == "E" or rows.ndim == 1:
        return rows
    if name.endswith(("W_Q", "W_K")):
        half = model.cfg.d_model // model.cfg.n_heads // 2
        rows = rows.reshape(-1, 2, half, model.cfg.d_model).swapaxes(1, 2).reshape(rows.shape)
    return rows.T


def tokenizer_json(glass: GlassTokenizer) -> str:
    """The package's tokenizer in the format of `tokenizers`."""
    merges = [(first, second) for first, second in glass.merges]
    made = Tokenizer(models.BPE(glass.token_to_id, merges, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", "▁")])
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|▁*[^▁\n]+|▁+"), "isolated")
    return made.to_str()


@pytest.fixture(scope="module")
def glass() -> tuple[GlassLM, GlassTokenizer]:
    """The English model that the package carries: hidden 128, an inner width of 341, two key heads for four."""
    return load_pretrained("en")


@pytest.fixture(scope="module")
def checkpoint(glass, tmp_path_factory) -> Path:
    """The model as a Hugging Face folder of the Llama family, in fp16."""
    model, tokenizer = glass
    folder, sizes = tmp_path_factory.mktemp("glassllm"), model.cfg
    parameters = {name: value.data.astype(np.float16) for name, value in model.named_parameters().items()}
    save_file(
        {llama_name(name): llama_layout(model, name, value) for name, value in parameters.items()},
        folder / "model.safetensors",
    )
    config = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": sizes.d_model,
        "intermediate_size": parameters["blocks.0.ffn.W1"].shape[1],
        "num_attention_heads": sizes.n_heads,
        "num_key_value_heads": sizes.n_kv_heads,
        "num_hidden_layers": sizes.n_layers,
        "vocab_size": sizes.vocab_size,
        "max_position_embeddings": sizes.max_len,
        "rms_norm_eps": sizes.eps,
        "rope_theta": sizes.rope_base,
        "tie_word_embeddings": True,
        "eos_token_id": tokenizer.token_to_id["<eos>"],
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(tokenizer_json(tokenizer))
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    return folder


def logits(bundle: Path, contexts: list[list[int]], sizes) -> np.ndarray:
    """The graph's logits after each context, float32 `[contexts, vocabulary]`."""
    run = onnxruntime.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    empty = np.zeros((1, sizes.n_kv_heads, 0, sizes.d_model // sizes.n_heads), np.float32)
    past = {each.name: empty for each in run.get_inputs() if each.name.startswith("past")}
    feeds = ({"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)} for ids in contexts)
    return np.stack([run.run(["logits"], past | feed)[0][0, -1] for feed in feeds])


def contexts_of(tokenizer: GlassTokenizer) -> list[list[int]]:
    """Ever longer beginnings of the text."""
    ids = tokenizer.encode(TEXT)
    return [ids[:end] for end in range(8, min(len(ids), 120), 4)]


def test_the_graph_computes_what_the_package_computes(glass, checkpoint, tmp_path):
    """With the weights that 8 bits leave, the same logits to float32's precision: GQA, odd widths, tied table."""
    model, tokenizer = glass
    bundle = export_bundle(open_source(checkpoint), EXACT, tmp_path / "bundle", False, lambda *_: None).path
    contexts = contexts_of(tokenizer)
    found = logits(bundle, contexts, model.cfg)
    with rounded(model):
        wanted = np.stack([model.forward(ids).data[0, -1] for ids in contexts])
    np.testing.assert_allclose(found, wanted, atol=2e-3)


@contextmanager
def rounded(model: GlassLM):
    """The model with its matrices as the exact recipe stores them."""
    parameters = model.named_parameters()
    before = {name: parameter.data for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        if parameter.data.ndim == 2:
            form = EXACT.format_of(llama_name(name))
            rows = llama_layout(model, name, parameter.data.astype(np.float16).astype(np.float32))
            parameter.data = glass_layout(model, name, round_to_nearest(rows, form).dequantized())
    yield
    for name, parameter in parameters.items():
        parameter.data = before[name]


def test_the_tokenizer_in_the_bundle_is_the_packages(glass, checkpoint):
    """What calibrates is cut as the model was trained."""
    _, tokenizer = glass
    theirs = Tokenizer.from_str((checkpoint / "tokenizer.json").read_text()).encode(TEXT)
    assert theirs.ids == tokenizer.encode(TEXT)
