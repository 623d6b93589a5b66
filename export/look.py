"""A picture through the tower, as the source computes it and as the bundle does; and pictures to look at.

Calibration and fidelity look at pictures as they do at texts: what the decoder remembers of a picture is not like
what it remembers of words, so that ranges and losses are taken from both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Pictures
from edge.engine.pictures.crops import crops_of, crops_of_pixels, size_of
from edge.errors import Fault
from edge.wire.pictures import CROPS, layout, tokens_of
from export.errors import SourceError
from export.graphs import function_model, load_skeleton
from export.plan import Plan
from export.quantize import Floats
from export.runtime import Runner, open_graph
from export.stages import Cut
from export.vision import CROP_SIZE, LAYERS, PREFIX, SIDE_TOKENS, SKELETON, TowerSizes, pictures

Pixels = NDArray[np.uint8]
Look = Callable[[Cut], Floats]
"""A cut picture to what the decoder reads in its place, float32 `[tokens, width]`."""
DRAWN = ((768, 1024), (1024, 640), (500, 500), (480, 960))
"""Height and width of pictures that are drawn where none are given."""


@dataclass(frozen=True)
class Part:
    """A function of the tower's skeleton, with any weights. inputs: what it reads, weights among them."""

    inputs: list[str]
    output: str
    run: Runner

    @classmethod
    def of(cls, name: str, tower: TowerSizes) -> Part:
        """The function of a name, for a tower's sizes."""
        function = load_skeleton(SKELETON)[name]
        attributes = {"num_heads": tower.num_heads, "epsilon": tower.layer_norm_eps}
        return cls(list(function.input), function.output[0], open_graph(function_model(function, attributes)))

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> Floats:
        """What it makes."""
        return self.run([self.output], feeds)[0]


def source_tower(plan: Plan, tower: TowerSizes) -> Look:
    """The checkpoint's own weights in float32, a layer in memory at a time."""
    head, layer, tail = (Part.of(f"vision_{part}", tower) for part in ("head", "layer", "tail"))
    matrices, others = tower.matrices(), tower.others()

    def weights(part: Part, prefix: str) -> dict[str, Floats]:
        found = {name: plan.source.tensor(prefix + name).T.copy() for name in part.inputs if prefix + name in matrices}
        return found | {name: plan.source.tensor(prefix + name) for name in part.inputs if prefix + name in others}

    def look(cut: Cut) -> Floats:
        seen: dict[str, NDArray[Any]] = {"pixel_values": cut.crops[None], "image_sizes": cut.sizes()}
        state = head({**seen, **weights(head, PREFIX)})
        for index in range(tower.num_layers):
            state = layer({"hidden": state, **weights(layer, f"{LAYERS}{index}.")})
        return tail({"hidden": state, **seen, **weights(tail, PREFIX)})

    return look


def sample_cuts(folder: Path | None, count: int, seed: int) -> list[Cut]:
    """Some pictures of a folder, the even ones for a seed of 0 and the odd ones for 1; drawn where there is none."""
    cut = pictures()
    if folder is None:
        drawn = (photographic(*DRAWN[number % len(DRAWN)], 2 * number + seed) for number in range(count))
        return [cut_of(crops_of_pixels(pixels, CROPS["auto"], cut), *pixels.shape[:2]) for pixels in drawn]
    files = sorted(path for path in folder.iterdir() if path.is_file())[seed::2][:count]
    if not files:
        raise SourceError(f"{folder} has too few pictures; give at least two, better a dozen like those to come")
    return [read(path, cut) for path in files]


def read(path: Path, cut: Pictures) -> Cut:
    """A picture's crops; SourceError where it is none."""
    data = path.read_bytes()
    try:
        width, height = size_of(data)
        return cut_of(crops_of(data, CROPS["auto"], cut), height, width)
    except Fault as fault:
        raise SourceError(f"{path}: {fault.message}") from fault


def cut_of(crops: Floats, height: int, width: int) -> Cut:
    """Crops with the grid that they are of."""
    return Cut(crops, *layout(width, height, CROPS["auto"], CROP_SIZE))


def photographic(height: int, width: int, seed: int) -> Pixels:
    """`[height, width, 3]`: noise whose strength falls with its frequency, as in photographs, with some plain boxes.

    Source: Field, "Relations between the statistics of natural images" (1987): amplitude by one over frequency.
    """
    chance = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falls = 1 / np.maximum(np.hypot(down, across), 1 / max(height, width))
    made = [
        np.fft.irfft2(np.fft.rfft2(chance.standard_normal((height, width))) * falls, (height, width)) for _ in "rgb"
    ]
    grey = made[0]
    mixed = np.stack([grey + each / 2 for each in made], -1)
    pixels = 128 + 56 * (mixed - mixed.mean()) / mixed.std()
    for _ in range(12):
        top, left = int(chance.integers(height)), int(chance.integers(width))
        pixels[top : top + int(chance.integers(4, 200)), left : left + int(chance.integers(4, 200))] = chance.integers(
            0, 256, 3
        )
    result: Pixels = pixels.clip(0, 255).astype(np.uint8)
    return result


def places(cut: Cut) -> NDArray[np.int64]:
    """What stands for a picture among tokens: int64 `[tokens]`, each -1."""
    return np.full(tokens_of(cut.rows, cut.columns, SIDE_TOKENS), -1, np.int64)
