"""Phi-3-small: held to what MLX-LM makes of the same weights, its blocks, its tokenizer, what is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from edge.bundle import GRAPH, read_manifest
from edge.engine.text.exact import ExactReader
from export.blocks import UNSEEN, block_bias
from export.errors import SourceError, UnsupportedError
from export.families import family_of_config
from export.families.base import Blocks, Dimensions
from export.families.held import ELSEWHERE, variant_of
from export.families.phi3_small import FAMILY
from export.fusing.options import BIAS
from export.plan import make_plan, plan_of
from export.recipe import Recipe
from export.rotary import rotary_tables
from export.source import open_source
from export.source.adapter import AdapterSource
from export.source.config_only import ConfigSource
from export.source.regrouped import unused
from export.tokenizer import ranks
from tests.export import beside, phi3_small_data, small_phi3_small
from tests.export.test_adapter import write_adapter

KINDS = [
    each if each == "as published" else pytest.param(each, marks=pytest.mark.slow) for each in small_phi3_small.KINDS
]
RECIPE = Recipe(licence="none", context_length=512)
LONGROPE = {
    "rope_scaling": {
        "type": "su",
        "short_factor": [1.0 + number / 16 for number in range(8)],
        "long_factor": [2.0 + number for number in range(8)],
        "short_mscale": 1.1,
        "long_mscale": 1.3,
        "original_max_position_embeddings": 128,
    }
}


@pytest.mark.parametrize("kind", KINDS)
def test_its_logits_are_those_of_another_implementation(kind, tmp_path):
    """At every place of a text five times as long as a token sees whole, as MLX-LM made them token by token."""
    source = open_source(small_phi3_small.make(tmp_path / "checkpoint", kind))
    bundle = beside.float_bundle(source, tmp_path / "bundle", beside.FLOAT.model_copy(update={"context_length": 512}))
    theirs = np.load(phi3_small_data.LOGITS)[kind]
    text = small_phi3_small.text_of(small_phi3_small.config_of(kind), phi3_small_data.LENGTH)
    rows, columns = phi3_small_data.KEPT.get(kind, (slice(None), slice(None)))
    ours, unwanted = beside.bundle_logits(bundle, text)[rows][:, columns], np.isneginf(theirs)
    largest = np.abs(theirs[~unwanted]).max()
    assert np.abs(ours - theirs)[~unwanted].max() / largest < beside.TOLERANCE
    assert (ours[unwanted] < -100 * largest).all()
    assert read_manifest(bundle).held_to == ["mlx-lm 0.32"]


def test_a_context_that_is_seen_whole_needs_no_blocks(tmp_path):
    """Up to where the first block would be left out, nothing is added to scores; one token more, and it is."""
    source = open_source(small_phi3_small.make(tmp_path / "checkpoint"))
    for context, is_there in ((64, False), (65, True)):
        recipe = beside.FLOAT.model_copy(update={"context_length": context})
        bundle = beside.float_bundle(source, tmp_path / str(context), recipe)
        model = onnx.load(bundle / GRAPH, load_external_data=False)
        read = [BIAS in each.input for each in model.graph.node if each.op_type == "GroupQueryAttention"]
        assert read == [is_there, False, is_there]


def test_a_head_sees_its_own_blocks():
    """Every one nearby, and of those before, every third, a block earlier from head to head."""
    seen = block_bias(Blocks(2, 2, 3, 1), 4, 16)[0] == 0
    last = seen[:, -1, ::2]
    assert last.astype(int).tolist() == [
        [0, 0, 1, 0, 0, 1, 1, 1],
        [0, 1, 0, 0, 1, 0, 1, 1],
        [1, 0, 0, 1, 0, 0, 1, 1],
        [0, 0, 1, 0, 0, 1, 1, 1],
    ]
    assert (seen[:, :, ::2] == seen[:, :, 1::2]).all()
    assert block_bias(Blocks(2, 2, 3, 1), 4, 4).shape == (1, 1, 4, 4)


@pytest.mark.trace
@pytest.mark.parametrize(("heads", "stride"), [(32, 8), (4, 8), (8, 3)])
def test_its_blocks_are_those_of_onnxruntimes_builder(heads, stride):
    """Its code that writes the layout of SparseAttention, run as it is."""
    builder = pytest.importorskip("onnxruntime_genai.models.builders.phi").Phi3SmallModel
    length, layout = 2048, {}
    blocks = {"sparse_block_size": 64, "local_blocks": 16, "vert_stride": stride, "homo_head": False}
    theirs = SimpleNamespace(
        num_attn_heads=heads,
        context_length=length,
        attention_attrs={"block_sparse": blocks},
        mask_attrs={},
        calculate_cdiv=lambda a, b: -(a // -b),
        make_initializer=lambda values, name, **_: layout.update({name: values.numpy()}),
    )
    builder.calculate_block_mask(theirs)
    config = {"num_attention_heads": heads, "num_key_value_heads": heads, "blocksparse_vert_stride": stride}
    config = {**json.loads(small_phi3_small.PUBLISHED.read_text()), **config, "hidden_size": 16 * heads}
    found = Dimensions.from_config(config, FAMILY).blocks
    assert found is not None
    ours = block_bias(found, heads, length)[0, :, ::64, ::64]
    for head, (rows, columns) in enumerate(zip(*layout.values(), strict=True)):
        wanted = np.full((length // 64, length // 64), UNSEEN, np.float32)
        for row in range(length // 64):
            wanted[row, columns[rows[row] : rows[row + 1]]] = 0
        lower = np.tril_indices(length // 64)
        assert (ours[head][lower] == wanted[lower]).all()


@pytest.mark.trace
@pytest.mark.parametrize("length", [128, 129])
def test_its_long_rope_is_that_of_onnxruntimes_builder(length):
    """Tables below and beyond the original length, by its code run as it is."""
    builder = pytest.importorskip("onnxruntime_genai.models.builders.base").Model
    import torch

    config = {**small_phi3_small.config_of("as published"), **LONGROPE}
    scaling = config["rope_scaling"]
    side = "long" if length > 128 else "short"
    attributes = {
        "partial_rotary_factor": 1.0,
        "rescale_factors": torch.tensor(scaling[f"{side}_factor"]),
        "theta": config["rope_embedding_base"],
        "position_scale": 1,
        "cache_length": length,
        "t_dtype": torch.float32,
        "mscale": scaling[f"{side}_mscale"],
    }
    theirs = SimpleNamespace(head_size=16, context_length=512, original_context_length=128, rope_attrs=attributes)
    wanted = builder.make_rotary_embedding_caches_from_scratch(theirs)
    ours = rotary_tables(Dimensions.from_config(config, FAMILY).rope, length)
    for each, other in zip(ours, wanted, strict=True):
        np.testing.assert_allclose(each, other.numpy()[:, :8], atol=2e-5)


def test_scales_that_a_config_leaves_out_are_those_of_its_code():
    """1 for short texts, and for long ones by how much the context grew."""
    scaling = {name: value for name, value in LONGROPE["rope_scaling"].items() if "mscale" not in name}
    rope = Dimensions.from_config({**small_phi3_small.config_of("as published"), "rope_scaling": scaling}, FAMILY).rope
    assert (rope.scale, rope.original_length) == (1.0, 128)
    assert rope.long_scale == pytest.approx(np.sqrt(1 + np.log(4) / np.log(128)))


def test_a_context_ends_where_long_factors_begin():
    """A prompt beyond would be read at once."""
    config = {**small_phi3_small.config_of("as published"), **LONGROPE}
    assert Dimensions.from_config(config, FAMILY).context_length == 128
    with pytest.raises(UnsupportedError, match="--context 128"):
        plan_of(ConfigSource("phi", config), RECIPE)


def test_the_published_config_is_of_a_kind_that_is_held():
    """And its sizes are those of 7.4 billion weights; a token sees 1,024 whole."""
    config = json.loads(small_phi3_small.PUBLISHED.read_text())
    assert variant_of(family_of_config(config), config) in ELSEWHERE
    plan = plan_of(ConfigSource("phi", config), Recipe(licence="MIT"))
    assert sum(int(np.prod(shape)) for shape in plan.shapes.values()) == pytest.approx(7.39e9, rel=0.01)
    assert plan.sizes.blocks == Blocks(64, 16, 8, 1)
    assert plan.sizes.blocks.reach == 1024
    assert [each.blocks is None for each in plan.sizes.attentions] == [False, True] * 16


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"blocksparse_homo_head_pattern": True}, "blocksparse_homo_head_pattern"),
        ({"rope_position_scale": 2.0}, "rope_position_scale"),
        ({"hidden_act": "silu"}, "hidden_act"),
        ({"ff_dim_multiplier": 4}, "ff_dim_multiplier"),
        ({"mup_attn_multiplier": 0}, "mup_attn_multiplier"),
        ({"blocksparse_block_size": "64"}, "blocksparse_block_size"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
        ({"rotary_dim": 64}, "rotary_dim"),
    ],
)
def test_what_is_not_exported_is_refused_by_its_name(change, named):
    """Before any weight is read."""
    with pytest.raises((SourceError, UnsupportedError), match=named):
        Dimensions.from_config({**small_phi3_small.config_of("as published"), **change}, FAMILY)


def test_a_gpu_is_refused(tmp_path):
    """Scores that are added to were tried on the CPU alone."""
    source = open_source(small_phi3_small.make(tmp_path / "checkpoint"))
    with pytest.raises(UnsupportedError, match="--provider cpu"):
        make_plan(source, RECIPE.model_copy(update={"provider": "cuda"}))


@pytest.mark.parametrize(("name", "there"), [("self_attn.dense.bias", "o_proj.bias"), ("mlp.up_proj.weight", "gate")])
def test_a_tensor_of_another_shape_is_refused(name, there, tmp_path):
    """By the name of a part of it."""
    config = small_phi3_small.config_of("as published")
    weights = small_phi3_small.random_weights(config)
    weights[f"model.layers.1.{name}"] = weights[f"model.layers.1.{name}"][:-3]
    with pytest.raises(SourceError, match=rf"model.layers.1.*{there}"):
        make_plan(open_source(small_phi3_small.write(tmp_path / "checkpoint", config, weights)), RECIPE)


def test_an_adapter_is_merged_before_its_matrices_are_taken_apart(tmp_path):
    """Of the packed matrix, whose rows are others' in our words."""
    folder = small_phi3_small.make(tmp_path / "checkpoint")
    chance, name = np.random.default_rng(1), "model.layers.0.self_attn.query_key_value"
    down, up = (chance.standard_normal(shape).astype(np.float32) for shape in ((2, 128), (256, 2)))
    pair = {f"base_model.model.{name}.lora_A.weight": down, f"base_model.model.{name}.lora_B.weight": up}
    adapter = write_adapter(tmp_path / "adapter", pair, r=2, lora_alpha=2, target_modules=["query_key_value"])
    plain = plan_of(open_source(folder), RECIPE).source
    merged = plan_of(AdapterSource(open_source(folder), adapter), RECIPE).source
    parts = [f"model.layers.0.self_attn.{part}_proj.weight" for part in "qkv"]
    added = np.concatenate([merged.tensor(part) - plain.tensor(part) for part in parts])
    groups = (up @ down).reshape(4, 4, 16, 128)  # of two heads' queries, a key and a value
    wanted = [groups[:, :2].reshape(-1, 128), groups[:, 2].reshape(-1, 128), groups[:, 3].reshape(-1, 128)]
    np.testing.assert_allclose(added, np.concatenate(wanted), atol=1e-5)


def test_its_tokenizer_is_tiktokens(tmp_path):
    """The first 2,000 ranks of its vocabulary, over texts that were made to differ; recorded from tiktoken itself."""
    reader = ExactReader(ranks.tokenizer_json(phi3_small_data.padded(tmp_path / ranks.FILE)))
    recorded = json.loads(phi3_small_data.TOKENS.read_text(encoding="utf-8"))
    assert len(recorded) == phi3_small_data.TEXTS
    assert [reader.encode(text) for text, _ in recorded] == [tokens for _, tokens in recorded]


def test_tokens_that_stand_for_nothing_are_never_chosen():
    """91 of 100,352; those that a chat begins and ends with are not among them."""
    added = unused(100352)
    assert (added != 0).sum() == len(ranks.IDLE) == 91
    assert not added[[ranks.CONTROL[text] for text in ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>")]].any()
    assert not unused(96).any()


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"AA==",
        b"AA== zero",
        b"!!!! 0",
        b"AA== 1",
        b"\n".join(b"QQ== %d" % number for number in range(3)),
    ],
)
def test_a_file_that_is_no_list_of_ranks_is_refused_by_its_name(lines, tmp_path):
    """Whatever is wrong with it."""
    (tmp_path / ranks.FILE).write_bytes(lines)
    with pytest.raises(SourceError, match=ranks.FILE):
        ranks.tokenizer_json(tmp_path / ranks.FILE)


def test_a_folder_without_tokenizer_json_has_that_of_its_ranks(tmp_path):
    """As the hub's repository is; another model's ranks are not guessed at."""
    config = {**small_phi3_small.config_of("its vocabulary"), "hidden_size": 16, "num_attention_heads": 1}
    config |= {"num_key_value_heads": 1, "num_hidden_layers": 1}
    folder = small_phi3_small.write(tmp_path / "checkpoint", config, small_phi3_small.random_weights(config))
    (folder / "tokenizer.json").unlink()
    phi3_small_data.padded(folder / ranks.FILE)
    source = plan_of(open_source(folder), RECIPE).source
    assert '"<|assistant|>"' in source.tokenizer_files["tokenizer.json"]
    assert source.stop_token_ids == [2, ranks.CONTROL["<|end|>"]]
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "llama"}))
    with pytest.raises(SourceError, match=r"no tokenizer\.json"):
        _ = open_source(folder).tokenizer_files
