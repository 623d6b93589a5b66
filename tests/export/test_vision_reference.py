"""Pictures beside the hub's own code for Phi-3-vision, from the package that carries it; needs the trace extra.

The code is fetched for the test and never installed: crops, tokens, features and logits of a bundle's graphs and
engine are what it computes from the same checkpoint.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import phi_shape
from edge.bundle import read_manifest
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.pictures.crops import crops_of
from edge.engine.text.prompt import prompt_of
from edge.wire.pictures import Picture, layout, tokens_of
from export.pipeline import export_bundle
from export.source import open_source
from tests.export import small_vision
from tests.pictures import encoded, photograph

pytestmark = [
    pytest.mark.trace,
    pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="the trace extra is not installed"),
    pytest.mark.timeout(1500),
]
PACKAGE, FOLDER = "phi3v-spatial==0.0.1", "checkpoints/base"
SIZES = [(300, 400), (400, 300), (5, 5), (900, 90), (90, 900), (1001, 1000), (2000, 1337), (1, 7), (640, 480)]
"""Height and width: landscape, portrait, tiny, drawn out, large."""
PROMPT = "<|user|>\n{}What is the difference?<|end|>\n<|assistant|>\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> types.SimpleNamespace:
    """The hub's modules."""
    folder = tmp_path_factory.mktemp("hub")
    with zipfile.ZipFile(fetched(PACKAGE, folder)) as wheel:
        wheel.extractall(folder)
    base = folder / FOLDER
    package = types.ModuleType("hub_phi3v")
    package.__path__ = [str(base)]
    sys.modules["hub_phi3v"] = package
    Image.TRANSPOSE = Image.Transpose.TRANSPOSE  # the code is older than Pillow's enumerations
    names = ("configuration", "image_embedding", "image_processing", "modeling", "processing")
    return types.SimpleNamespace(
        folder=base, **{name: importlib.import_module(f"hub_phi3v.{name}_phi3_v") for name in names}
    )


def fetched(package: str, folder: Path) -> Path:
    """A package's wheel, downloaded, not installed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def model_of(hub: Any, checkpoint: Path) -> Any:
    """The hub's model over a checkpoint, in float32; its tower's sizes, which it holds as a constant, as there."""
    import torch
    import transformers
    from safetensors.torch import load_file

    config = json.loads((checkpoint / "config.json").read_text())
    tower = config["img_processor"]
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    known = {name: tower[name] for name in names if name in tower}
    clip = hub.image_embedding.CLIP_VIT_LARGE_PATCH14_336_CONFIG
    hub.image_embedding.CLIP_VIT_LARGE_PATCH14_336_CONFIG = transformers.CLIPVisionConfig(**{**clip.to_dict(), **known})
    own = {name: value for name, value in config.items() if name not in ("architectures", "auto_map", "torch_dtype")}
    model = hub.modeling.Phi3VForCausalLM(hub.configuration.Phi3VConfig(**own)).eval()
    hub.image_embedding.CLIP_VIT_LARGE_PATCH14_336_CONFIG = clip
    weights: dict[str, torch.Tensor] = {}
    for path in checkpoint.glob("*.safetensors"):
        weights |= {name: value.float() for name, value in load_file(path).items()}
    found = model.load_state_dict(weights, strict=False)
    unread = f"encoder.layers.{clip.num_hidden_layers - 1 if not known else known['num_hidden_layers'] - 1}."
    left = [n for n in found.missing_keys if not (unread in n or "post_layernorm" in n or n.endswith("wte.weight"))]
    assert (left, found.unexpected_keys) == ([], [])
    return model


@pytest.mark.parametrize("crops", [1, 2, 4, 16])
def test_crops_are_the_hubs(hub, vision_bundle, crops):
    """Pixels to the last bit but one, grids and token counts; every shape, every number of crops."""
    pictures = read_manifest(vision_bundle).pictures
    processor = hub.image_processing.Phi3VImageProcessor(num_crops=crops)
    for height, width in SIZES:
        image = photograph(width, height)
        theirs = processor.preprocess([image], return_tensors="np")
        ours = crops_of(encoded(image, "PNG"), crops, pictures)
        grid = layout(width, height, crops, 336)
        assert [side * 336 for side in grid] == theirs["image_sizes"][0].tolist()
        assert tokens_of(*grid, 12) == int(theirs["num_img_tokens"][0])
        assert np.abs(ours - theirs["pixel_values"][0][: len(ours)]).max() < 2e-6


def test_crops_of_real_pictures_are_the_hubs(hub, vision_bundle, tmp_path):
    """Photographs, drawings, pages and charts that scikit-image carries (public domain and CC0): grey, palette, RGB."""
    pictures = read_manifest(vision_bundle).pictures
    processor = hub.image_processing.Phi3VImageProcessor(num_crops=4)
    with zipfile.ZipFile(fetched("scikit-image==0.26.0", tmp_path)) as wheel:
        names = [
            name for name in wheel.namelist() if name.startswith("skimage/data/") and name.endswith(("png", "jpg"))
        ]
        files = {name: wheel.read(name) for name in names}
    compared = 0
    for name, data in files.items():
        image = Image.open(io.BytesIO(data))
        if not image.has_transparency_data:  # which is white with us, and whatever lies under it there
            theirs = processor.preprocess([image.convert("RGB")], return_tensors="np")["pixel_values"][0]
            ours = crops_of(data, 4, pictures)
            assert np.abs(ours - theirs[: len(ours)]).max() < 2e-6, name
            compared += 1
    assert compared > 15


@pytest.mark.parametrize("texts", ["ours", "the hub's"])
def test_the_prompt_is_the_hubs(hub, vision_bundle, tmp_path, texts):
    """Text and pictures in turn: the same ids, a picture's places below zero, with and without a first token."""
    import transformers

    folder = phi_shape.DATA / "tokenizer" if texts == "ours" else hub.folder
    shutil.copytree(vision_bundle, tmp_path / "bundle")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path / "bundle" / name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = hub.image_processing.Phi3VImageProcessor(num_crops=4)
    shim = types.SimpleNamespace(image_processor=processor, tokenizer=tokenizer)
    convert = hub.processing.Phi3VProcessor._convert_images_texts_to_inputs
    images = processor.preprocess([photograph(400, 300), photograph(90, 200)], return_tensors="pt")
    theirs = convert(shim, images, PROMPT.format("<|image_1|>\n<|image_2|>\n"))["input_ids"][0].tolist()
    counts = [int(count) for count in images["num_img_tokens"]]
    places = {f"@{number}@": [-1 - number] * count for number, count in enumerate(counts)}
    messages = [{"role": "user", "content": "@0@\n@1@\nWhat is the difference?"}]
    ours = Tokenizer(tmp_path / "bundle", read_manifest(vision_bundle))
    assert ours.encode(messages, places) == theirs
    alone = [{"role": "user", "content": "What is the difference?"}]
    assert ours.encode(alone) == tokenizer(PROMPT.format("")).input_ids


@pytest.mark.parametrize("pictures", [[(300, 400)], [(700, 200)], [(300, 400), (5, 5), (90, 900)]])
def test_logits_are_the_hubs(hub, vision_bundle, pictures):
    """The small model, one picture, a tall one, several: what the engine's first token may be, to rounding."""
    model = model_of(hub, vision_bundle.parent / "checkpoint")
    compare(hub, model, vision_bundle, [encoded(photograph(w, h), "PNG") for h, w in pictures])


def test_logits_are_the_hubs_at_full_width(hub, tmp_path):
    """The tower of 24 layers and one layer of the decoder at their true sizes, random weights."""
    checkpoint = phi_shape.write(tmp_path / "checkpoint", phi_shape.VISION, layers=1)
    recipe = small_vision.recipe(context_length=2048)
    bundle = export_bundle(open_source(checkpoint), recipe, tmp_path / "bundle", False, lambda *_: None).path
    compare(hub, model_of(hub, checkpoint), bundle, [encoded(photograph(400, 300), "PNG")])


def compare(hub: Any, model: Any, bundle: Path, files: list[bytes]) -> None:
    """Logprobs of the likeliest first tokens, the hub's and the engine's, four crops a picture."""
    import torch

    shown = [Picture(f"@{number}@", base64.b64encode(data).decode(), 4) for number, data in enumerate(files)]
    text = "\n".join([*(each.place for each in shown), "What is it?"])
    engine = BatchedEngine(bundle, Options(drafts=False, prefix_bytes=0))
    job = Job(1, [{"role": "user", "content": text}], 2, pictures=shown, top_logprobs=20, ignore_eos=True)
    manifest = read_manifest(bundle)
    tokens, seen = prompt_of(job, None, Tokenizer(bundle, manifest), manifest)
    names = {word: -1 - number for number, each in enumerate(seen) for word in each.places}
    images = [Image.open(io.BytesIO(data)) for data in files]
    made = hub.image_processing.Phi3VImageProcessor(num_crops=4).preprocess(images, return_tensors="pt")
    ids = torch.tensor([[names.get(token, token) for token in tokens]])
    with torch.no_grad():
        logits = model(
            input_ids=ids.clone(),
            attention_mask=torch.ones_like(ids),
            pixel_values=made["pixel_values"],
            image_sizes=made["image_sizes"],
            use_cache=False,
        ).logits[0, -1]
    theirs = torch.log_softmax(logits.double(), -1).numpy()
    finished = answer(engine, job)
    assert finished.logprobs is not None
    ours = finished.logprobs[0]["top_logprobs"]
    assert [each["logprob"] for each in ours] == pytest.approx(sorted(theirs, reverse=True)[:20], abs=2e-3)
