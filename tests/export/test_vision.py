"""A small Phi-3-vision checkpoint to a bundle that sees: its tower beside one written in NumPy after the papers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file

from edge.bundle import open_bundle
from export.errors import SourceError, UnsupportedError
from export.pipeline import export_bundle
from export.plan import make_plan
from export.recipe import Override, Recipe
from export.source import open_source
from export.vision import PREFIX
from tests.export import small_vision
from tests.export.small_vision import TOWER
from tests.pictures import encoded, photograph

HIDDEN, HEADS, SIDE = TOWER["hidden_size"], TOWER["num_attention_heads"], 12
CROPS = {"one": [(1, 1)], "two": [(1, 2)], "four": [(2, 2)], "tall": [(3, 1)], "several": [(2, 2), (1, 1), (1, 3)]}
recipe = small_vision.recipe


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The small checkpoint."""
    return small_vision.write(tmp_path_factory.mktemp("vision") / "checkpoint")


@pytest.fixture(scope="module")
def bundle(checkpoint, tmp_path_factory) -> Path:
    """Its own weights in float32."""
    target = tmp_path_factory.mktemp("vision") / "bundle"
    return export_bundle(open_source(checkpoint), recipe(), target, False, lambda *_: None).path


def session(bundle: Path, name: str) -> onnxruntime.InferenceSession:
    """One of the bundle's graphs."""
    return onnxruntime.InferenceSession(bundle / name)


def features(bundle: Path, pixels: np.ndarray, grids: list[tuple[int, int]]) -> np.ndarray:
    """What the bundle's tower makes of crops cut in these rows and columns."""
    feeds = {"pixel_values": pixels, "image_sizes": np.array(grids) * 336}
    return session(bundle, "vision.onnx").run(None, feeds)[0]


def random_pixels(grids: list[tuple[int, int]]) -> np.ndarray:
    """Crops of pictures, those with fewer than the most padded."""
    most = 1 + max(rows * columns for rows, columns in grids)
    return np.random.default_rng(0).standard_normal((len(grids), most, 3, 336, 336)).astype(np.float32)


@pytest.mark.parametrize("grids", CROPS.values(), ids=CROPS)
def test_the_tower_is_the_published_one(bundle, checkpoint, grids):
    """One, two, four crops, a tall picture, several in one call: features as NumPy makes them, to rounding."""
    weights = {name.removeprefix(PREFIX): value for name, value in tensors(checkpoint).items() if PREFIX in name}
    pixels = random_pixels(grids)
    made = features(bundle, pixels, grids)
    wanted = np.concatenate([picture(weights, crops, *grid) for crops, grid in zip(pixels, grids, strict=True)])
    assert made.shape == wanted.shape
    assert np.abs(made - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_features_go_where_the_ids_are_below_zero(bundle, checkpoint):
    """In their order, over several rows; texts alone, without any features, are looked up as ever."""
    table = tensors(checkpoint)["model.embed_tokens.weight"]
    ids = np.array([[5, -1, -1, 7], [-2, 9, 8, -2]])
    given = np.arange(4 * 64, dtype=np.float32).reshape(4, 64)
    merge = session(bundle, "embedding.onnx")
    made = merge.run(None, {"input_ids": ids, "image_features": given})[0]
    assert np.array_equal(made[ids < 0], given)
    assert np.array_equal(made[ids >= 0], table[ids[ids >= 0]])
    alone = merge.run(None, {"input_ids": np.array([[3, 4]]), "image_features": np.zeros((0, 64), np.float32)})[0]
    assert np.array_equal(alone[0], table[[3, 4]])


@pytest.mark.parametrize(("bits", "loss"), [(8, 0.02), (4, 0.25)])
def test_a_quantised_tower_loses_what_its_bits_say(bundle, checkpoint, tmp_path, bits, loss):
    """In 8 bits, as a recipe without a word has it, features differ by a hundredth; in 4 by more."""
    overrides = {f"{PREFIX}*": Override(bits=bits)}
    rounded = recipe(method="rtn", overrides=overrides if bits == 4 else {})
    made = export_bundle(open_source(checkpoint), rounded, tmp_path / "made", False, lambda *_: None)
    grids = CROPS["four"]
    pixels = random_pixels(grids)
    found, wanted = (features(path, pixels, grids) for path in (made.path, bundle))
    assert 0 < np.linalg.norm(found - wanted) / np.linalg.norm(wanted) < loss


def test_the_manifest_and_genai_are_told(bundle):
    """Capability, cut and files; the sections that onnxruntime-genai's phi3v model reads."""
    manifest = open_bundle(bundle).manifest
    assert manifest.capabilities == ["text", "json_schema", "vision"]
    assert manifest.pictures is not None
    assert (manifest.pictures.crop_size, manifest.pictures.side_tokens) == (336, 12)
    assert {"model.onnx", "vision.onnx", "embedding.onnx", "processor_config.json"} <= set(manifest.files)
    config = json.loads((bundle / "genai_config.json").read_text())["model"]
    assert config["type"] == "phi3v"
    assert config["decoder"]["inputs"]["inputs_embeds"] == "inputs_embeds"
    assert {"vision", "embedding"} <= set(config)


@pytest.mark.parametrize(
    ("section", "changes", "says"),
    [
        ("img_processor", {"model_name": "zebra/vit"}, "'zebra/vit' is not exported"),
        ("img_processor", {"layer_idx": -1}, "last layer but one"),
        ("embd_layer", {"hd_transform_order": "glb_sub"}, "'glb_sub', but only 'sub_glb'"),
        ("embd_layer", {"projection_cls": "linear"}, "'linear', but only 'mlp'"),
    ],
)
def test_another_tower_is_refused(checkpoint, tmp_path, section, changes, says):
    """What the skeleton does not do is told before anything is written."""
    config = small_vision.config()
    config[section] = {**config[section], **changes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for path in checkpoint.iterdir():
        if path.name != "config.json":
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(UnsupportedError, match=says):
        make_plan(open_source(tmp_path), Recipe(licence="none"))


def test_nothing_is_lost_behind_a_picture_without_rounding(checkpoint, tmp_path):
    """The source's own pass through tower and decoder is the bundle's, where the bundle has the same weights."""
    whole = recipe(evaluation_tokens=512, evaluation_pictures=1, prompts=("Hello",))
    made = export_bundle(open_source(checkpoint), whole, tmp_path / "made", False, lambda *_: None)
    assert abs(made.manifest.fidelity["picture_kl_mean"]) < 1e-5


@pytest.mark.slow
def test_gptq_looks_at_pictures_too(checkpoint, tmp_path):
    """Of a folder of one's own; the manifest says how many, and keys and values are in int8 by what both lose."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, kind in enumerate(["JPEG", "PNG", "WEBP", "PNG"]):
        (folder / f"{number}.{kind.lower()}").write_bytes(encoded(photograph(300, 200, number), kind))
    usual = recipe(method="gptq", calibration_tokens=1024, evaluation_tokens=512, sample_pictures=folder)
    made = export_bundle(open_source(checkpoint), usual, tmp_path / "made", False, lambda *_: None).manifest
    assert made.calibration is not None
    assert (made.calibration.pictures, made.kv_cache) == (2, "int8")
    assert made.fidelity["picture_kl_mean"] < 0.05
    assert {"picture_kl_mean_float_cache", "picture_kl_mean_accuracy_level_0"} <= set(made.fidelity)
    assert "| picture |" in (tmp_path / "made" / "fidelity.md").read_text()


def test_a_sample_that_is_no_picture_is_refused(checkpoint, tmp_path):
    """By its name, before anything is written."""
    (tmp_path / "page.jpg").write_text("<html>")
    usual = recipe(method="gptq", calibration_tokens=1024, sample_pictures=tmp_path)
    with pytest.raises(SourceError, match=r"page\.jpg: a picture is no JPEG"):
        export_bundle(open_source(checkpoint), usual, tmp_path / "made", False, lambda *_: None)


def tensors(checkpoint: Path) -> dict[str, np.ndarray]:
    """All weights, in float32."""
    found: dict[str, np.ndarray] = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        found |= {name: value.astype(np.float32) for name, value in load_file(path).items()}
    return found


# --- the tower in NumPy, after arXiv:2103.00020 (CLIP) and arXiv:2404.06512 (crops and separators) ---


def picture(weights: dict[str, np.ndarray], crops: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The tokens of a picture: its crops in their places, line by line, then the whole."""
    maps = [merged(tower(weights, crop)) for crop in crops[: 1 + rows * columns]]
    whole, parts = maps[0], maps[1:]
    lines = np.vstack([np.hstack(parts[row * columns : (row + 1) * columns]) for row in range(rows)])
    ends, between = weights["sub_GN"].reshape(1, 1, -1), weights["glb_GN"].reshape(1, -1)
    flat = [closed(lines, ends), between, closed(whole, ends)]
    inner = np.concatenate(flat) @ weights["img_projection.0.weight"].T + weights["img_projection.0.bias"]
    return gelu(inner) @ weights["img_projection.2.weight"].T + weights["img_projection.2.bias"]


def closed(lines: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Each line with a separator behind it, one after the other."""
    return np.concatenate([lines, np.repeat(ends, len(lines), axis=0)], axis=1).reshape(-1, lines.shape[2])


def merged(patches: np.ndarray) -> np.ndarray:
    """`[576, width]` to `[12, 12, 4 * width]`."""
    squares = patches.reshape(SIDE, 2, SIDE, 2, HIDDEN).transpose(0, 2, 1, 3, 4)
    return squares.reshape(SIDE, SIDE, 4 * HIDDEN)


def tower(weights: dict[str, np.ndarray], crop: np.ndarray) -> np.ndarray:
    """A crop's patches after the last layer but one."""
    prefix = "img_processor.vision_model."
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    patches = crop.reshape(3, 24, 14, 24, 14).transpose(1, 3, 0, 2, 4).reshape(576, -1)
    patches = patches @ own["embeddings.patch_embedding.weight"].reshape(HIDDEN, -1).T
    state = np.vstack([own["embeddings.class_embedding"], patches]) + own["embeddings.position_embedding.weight"]
    state = norm(state, own, "pre_layrnorm")
    for index in range(TOWER["num_hidden_layers"] - 1):
        state = layer(state, {name.split(".", 3)[3]: v for name, v in own.items() if f"layers.{index}." in name})
    return state[1:]


def layer(state: np.ndarray, own: dict[str, np.ndarray]) -> np.ndarray:
    """One layer of CLIP's transformer."""
    normed = norm(state, own, "layer_norm1")
    query, key, value = (
        linear(normed, own, f"self_attn.{name}_proj").reshape(len(state), HEADS, -1).swapaxes(0, 1) for name in "qkv"
    )
    scores = query @ key.swapaxes(1, 2) / math.sqrt(HIDDEN // HEADS)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = shares / shares.sum(-1, keepdims=True) @ value
    state = state + linear(mixed.swapaxes(0, 1).reshape(len(state), HIDDEN), own, "self_attn.out_proj")
    wide = linear(norm(state, own, "layer_norm2"), own, "mlp.fc1")
    return state + linear(wide / (1 + np.exp(-1.702 * wide)), own, "mlp.fc2")


def linear(values: np.ndarray, own: dict[str, np.ndarray], module: str) -> np.ndarray:
    """A matrix and a bias."""
    return values @ own[f"{module}.weight"].T + own[f"{module}.bias"]


def norm(values: np.ndarray, own: dict[str, np.ndarray], module: str) -> np.ndarray:
    """Layer normalisation."""
    centred = values - values.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * own[f"{module}.weight"] + own[f"{module}.bias"]


def gelu(values: np.ndarray) -> np.ndarray:
    """With the error function itself."""
    return values * (1 + np.vectorize(math.erf)(values / math.sqrt(2))) / 2
