"""What cannot become a bundle is refused in a sentence before the first matrix is rounded, and leaves nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest

from export.calibration_text import pieces
from export.errors import SourceError, UnsupportedError
from export.pipeline import export_bundle
from export.plan import make_plan
from export.recipe import Limits, Recipe
from export.rehearsal import on_two_layers
from export.source import open_source
from export.source.scan import EXPONENTS, SCALES
from tests import refusals
from tests.export import small_model

LAYERS, MIDDLE = 6, 3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A small Llama with layers between its first and its last."""
    weights = small_model.llama_weights()
    many = {k.replace("layers.1", f"layers.{i}"): v for i in range(2, LAYERS) for k, v in weights.items()}
    folder = tmp_path_factory.mktemp("refused") / "source"
    return small_model.write_checkpoint(folder, weights | many, num_hidden_layers=LAYERS)


@pytest.fixture
def source(checkpoint, tmp_path) -> Path:
    """The same for a test to harm."""
    return shutil.copytree(checkpoint, tmp_path / "source")


def is_refused_first(source: Path, *options: str) -> str:
    """An export says one sentence, begins nothing and leaves nothing; what it says."""
    ended = refusals.export(source, source.parent / "out/bundle", "--allow-loss", *options)
    assert ended.is_a_sentence, ended.said
    assert not ended.has_begun, ended.said
    assert not (source.parent / "out").exists() or not list((source.parent / "out").iterdir())
    return ended.said


@pytest.mark.parametrize("kind", refusals.harms(MIDDLE, small_model.VOCABULARY))
def test_a_harmed_checkpoint_is_refused_first(source, kind):
    """Whatever harms it."""
    refusals.harms(MIDDLE, small_model.VOCABULARY)[kind](source)
    is_refused_first(source, "--context=64")


@pytest.mark.parametrize("kind", refusals.OPTIONS)
def test_an_option_that_cannot_be_is_refused_first(source, kind):
    """Whatever it is."""
    refusals.write_odds(source.parent)
    is_refused_first(source, *refusals.OPTIONS[kind])


@pytest.mark.parametrize(
    "sizes",
    [
        {"head_dim": 12},
        {"head_dim": 8},
        {"head_dim": 24},
        {"head_dim": 6},
        {"head_dim": 7},
        {"hidden_size": 60},
        {"hidden_size": 36},
    ],
)
def test_sizes_that_the_runtime_does_not_take_are_refused_first_or_work(tmp_path, sizes):
    """An odd head or width is told by two layers, in a sentence; where the runtime takes it, the bundle is made."""
    hidden, head = sizes.get("hidden_size", 64), sizes.get("head_dim", 16)
    source = odd_model(tmp_path / "source", hidden, head)
    ended = refusals.export(source, tmp_path / "out/bundle", "--allow-loss", "--context=64", "--method=rtn")
    assert (ended.is_a_sentence and not ended.has_begun) or ended.status == 0, ended.said


def odd_model(folder: Path, hidden: int, head: int, heads: int = 4, kv_heads: int = 2) -> Path:
    """A Llama of four layers with another width and other heads."""
    chance, inner, vocabulary = np.random.default_rng(0), 80, small_model.VOCABULARY

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (chance.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    weights = {"model.embed_tokens.weight": matrix(vocabulary, hidden), "lm_head.weight": matrix(vocabulary, hidden)}
    weights["model.norm.weight"] = np.ones(hidden, np.float32)
    shapes = {"self_attn.q_proj": (heads * head, hidden), "self_attn.k_proj": (kv_heads * head, hidden)}
    shapes |= {"self_attn.v_proj": (kv_heads * head, hidden), "self_attn.o_proj": (hidden, heads * head)}
    shapes |= {"mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden), "mlp.down_proj": (hidden, inner)}
    for index in range(4):
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"model.layers.{index}.{name}.weight"] = np.ones(hidden, np.float32)
        weights |= {f"model.layers.{index}.{name}.weight": matrix(*shape) for name, shape in shapes.items()}
    config = {"hidden_size": hidden, "head_dim": head, "num_attention_heads": heads, "num_key_value_heads": kv_heads}
    return small_model.write_checkpoint(folder, weights, num_hidden_layers=4, **config)


def test_a_tokenizer_config_that_is_missing(source):
    """With its template beside it nothing is lacking; without, the sentence says so."""
    (source / "tokenizer_config.json").unlink()
    is_refused_first(source, "--context=64")


def test_a_folder_with_a_blank_and_dots_becomes_a_bundle(checkpoint, tmp_path):
    """`my model-1.7B` is called `my-model-1.7B`, not refused at the end."""
    source = shutil.copytree(checkpoint, tmp_path / "my model-1.7B")
    ended = refusals.export(source, tmp_path / "out", "--context=64", "--method=rtn", "--allow-loss")
    assert ended.status == 0, ended.said
    assert '"name": "my-model-1.7B"' in (tmp_path / "out/manifest.json").read_text()


@pytest.mark.parametrize("pad", [96, *(pytest.param(pad, marks=pytest.mark.slow) for pad in (-1, 32000))])
def test_a_padding_token_beyond_the_vocabulary_does_no_harm(checkpoint, tmp_path, pad):
    """Nothing is padded here."""
    source = shutil.copytree(checkpoint, tmp_path / "source")
    refusals.config(pad_token_id=pad)(source)
    ended = refusals.export(source, tmp_path / "out", "--context=64", "--method=rtn", "--allow-loss")
    assert ended.status == 0, ended.said


@pytest.mark.parametrize("prompt", ["a\0b", "\u65e5"])
def test_a_later_prompt_that_cannot_be_asked_is_refused_first(checkpoint, tmp_path, prompt):
    """A null character, or a text that this tokenizer makes no tokens of: every prompt is rehearsed."""
    recipe = Recipe(licence="none", context_length=64, prompts=("hi", prompt), limits=Limits(kl_mean=9))
    steps: list[str] = []
    with pytest.raises(UnsupportedError, match="two of its layers"):
        export_bundle(open_source(checkpoint), recipe, tmp_path / "out", False, lambda *step: steps.append(step[0]))
    assert set(steps) == {"rehearse"}


def test_values_that_halves_do_not_hold_are_named(tmp_path):
    """By the tensor, where the loss would only be no number."""
    weights = small_model.llama_weights()
    weights["model.norm.weight"] *= np.float32(1e6)
    source = open_source(small_model.write_checkpoint(tmp_path / "source", weights))
    recipe = Recipe(licence="none", context_length=64, provider="cuda", method="rtn")
    with pytest.raises(UnsupportedError, match=r"model\.norm\.weight has values beyond 65504"):
        export_bundle(source, recipe, tmp_path / "out", False, lambda *_: None)


def test_a_short_text_counts_once():
    """As many tokens as it has, whatever is asked for; each piece of an evaluation is one longer."""
    assert [each.shape for each in pieces(np.arange(100), 8192, 64)] == [(1, 64)]
    assert [each.shape for each in pieces(np.arange(129), 8192, 64)] == [(1, 64), (1, 64)]
    assert [each.shape for each in pieces(np.arange(65), 8192, 64, 1)] == [(1, 65)]
    assert len(pieces(np.arange(100_000), 8192, 512)) == 16


def test_the_two_layers_are_the_first_and_the_last(checkpoint):
    """With their own tensors, under the numbers 0 and 1."""
    plan = make_plan(open_source(checkpoint), Recipe(licence="none", context_length=64))
    two = on_two_layers(plan)
    assert two.sizes.num_layers == 2
    for index, there in enumerate((0, LAYERS - 1)):
        for mine, its in zip(two.matrices_of(index), plan.matrices_of(there), strict=True):
            np.testing.assert_array_equal(two.source.tensor(mine), plan.source.tensor(its))


@pytest.mark.parametrize("kind", EXPONENTS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_floating_type_is_looked_at(kind, value):
    """One value among many is found, wherever it is; the largest finite ones are none."""
    import ml_dtypes

    from export.source.scan import check_stored

    dtype = {"BF16": ml_dtypes.bfloat16, "F16": np.float16, "F32": np.float32, "F64": np.float64}[kind]
    values = np.full(300_001, ml_dtypes.finfo(dtype).max, dtype)
    check_stored("x", kind, values.view(np.uint8))
    for place in (0, 131_072, 300_000):
        values[place] = value
        with pytest.raises(SourceError, match="x has values that are not finite"):
            check_stored("x", kind, values.view(np.uint8))
        values[place] = 1


@pytest.mark.parametrize("kind", SCALES)
def test_scales_of_blocks_are_looked_at(kind):
    """What gguf makes no number of is found, each factor of a block, and what it makes numbers of passes."""
    from export.source.scan import check_stored

    size, places = SCALES[kind]
    stored = gguf.GGMLQuantizationType[kind]
    assert size == gguf.GGML_QUANT_SIZES[stored][1]
    blocks = np.zeros((5, size), np.uint8)
    check_stored("x", kind, blocks)
    for place in range(size - 1):
        blocks[3] = 0
        blocks[3, place : place + 2] = (0x00, 0x7E)
        finite = np.isfinite(gguf.quants.dequantize(blocks, stored)).all()
        if place in places:
            with pytest.raises(SourceError):
                check_stored("x", kind, blocks)
        else:
            assert finite or place + 1 in places or place - 1 in places, place


def test_a_gguf_with_a_scale_that_is_no_number(tmp_path):
    """It is named before anything is rounded."""
    path = tmp_path / "small.gguf"
    small_model.write_gguf(path, small_model.llama_weights(), gguf.GGMLQuantizationType.Q8_0)
    tensor = next(each for each in gguf.GGUFReader(path).tensors if each.name == "blk.1.attn_q.weight")
    with path.open("r+b") as opened:
        opened.seek(int(tensor.data_offset) + 34)
        opened.write(b"\x00\x7e")
    said = is_refused_first(path, "--context=64")
    assert "self_attn.q_proj.weight has values that are not finite" in said
