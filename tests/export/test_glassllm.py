"""Real fp16 weights with shared key heads through the export, against their own package's numpy forward pass."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from glassllm import GlassLM, load_pretrained
from glassllm import Tokenizer as GlassTokenizer
from tokenizers import Tokenizer

from benchmarks import glass as glass_model
from benchmarks.glass import llama_layout, llama_name
from export.pipeline import export_bundle
from export.quantize import round_to_nearest
from export.recipe import Recipe
from export.source import open_source

TEXT = (
    "It was a bright morning when Alice followed the rabbit down the hill, and she said to herself that nothing "
    "could be so very strange as to find a door in a tree. 'If I were to open it,' she thought, 'I should see the "
    "garden that the Queen spoke of.' So she turned the little golden key and went in. "
)
EXACT = Recipe(licence="MIT", method="rtn", bits=8, block_size=16, accuracy_level=0, context_length=128, prompts=())
"""Asked nothing: the engine cannot read a tokenizer that has neither bytes nor a token for each (map::at)."""


def glass_layout(model: GlassLM, name: str, rows: np.ndarray) -> np.ndarray:
    """The way back."""
    if name == "E" or rows.ndim == 1:
        return rows
    if name.endswith(("W_Q", "W_K")):
        half = model.cfg.d_model // model.cfg.n_heads // 2
        rows = rows.reshape(-1, 2, half, model.cfg.d_model).swapaxes(1, 2).reshape(rows.shape)
    return rows.T


@pytest.fixture(scope="module")
def glass() -> tuple[GlassLM, GlassTokenizer]:
    """The English model that the package carries: hidden 128, an inner width of 341, two key heads for four."""
    return load_pretrained("en")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The model as a Hugging Face folder of the Llama family, in fp16."""
    return glass_model.write_checkpoint(tmp_path_factory.mktemp("glassllm"))


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
