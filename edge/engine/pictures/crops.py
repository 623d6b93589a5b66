"""A picture's bytes to the crops that a tower looks at. The only file that imports Pillow.

Nothing is decoded before its size is known, and what is no picture of ours is refused with a word.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from edge.bundle import Pictures
from edge.errors import BadRequest, TooLarge
from edge.wire.pictures import MEDIA_TYPES, layout

FORMATS = tuple(kind.removeprefix("image/").upper() for kind in MEDIA_TYPES)
PIXELS_MAX = 50_000_000
"""A photograph of a good telephone; decoded it takes 150 MB."""
SIDE_PIXELS_MAX = 65_535
"""As far as JPEG goes; a PNG of fifty million lines takes more than a gigabyte and seven seconds."""
WHITE = (255, 255, 255)
Image.MAX_IMAGE_PIXELS = None  # its own check tells no figures; ours comes right after the header, too
PngImagePlugin.MAX_TEXT_MEMORY = 4 << 20  # comments are unpacked with the header, 64 MB of them elsewhere
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its Orientation (Exif 2.3)."""
Crops = NDArray[np.float32]


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of a picture as it is to be seen, from its header. Raises BadRequest, TooLarge."""
    with _opened(data) as image:
        return image.size[::-1] if _orientation(image) in (5, 6, 7, 8) else image.size


def crops_of(data: bytes, crops_max: int, pictures: Pictures) -> Crops:
    """`[1 + crops, 3, size, size]`: the whole picture, then its crops line by line. Raises BadRequest, TooLarge."""
    with _opened(data) as image:
        turn = TURNS.get(_orientation(image))
        upright = image if turn is None else image.transpose(turn)
        return _cut(_in_colour(upright), crops_max, pictures)


def crops_of_pixels(pixels: NDArray[np.uint8], crops_max: int, pictures: Pictures) -> Crops:
    """The same of red, green and blue, uint8 `[height, width, 3]`."""
    return _cut(Image.fromarray(pixels), crops_max, pictures)


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """A picture whose header was read; whatever its decoder says of it while it is used becomes a fault."""
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            warnings.simplefilter("ignore")
            _check_size(*image.size)
            yield image
    except UnidentifiedImageError as error:
        raise BadRequest("a picture is no JPEG, PNG or WebP", "image_url") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError) as error:  # Pillow's own
        raise BadRequest(f"a picture is damaged: {str(error)[:120]}", "image_url") from error


def _orientation(image: Image.Image) -> int:
    """From the header alone: Pillow decodes a PNG to its end to find what may be behind it."""
    is_told = image.format != "PNG" or "exif" in image.info
    value = image.getexif().get(0x0112) if is_told else None
    return value if isinstance(value, int) else 1


def _check_size(width: int, height: int) -> None:
    if max(width, height) > SIDE_PIXELS_MAX:
        raise TooLarge(f"a picture has {width} × {height} pixels, but {SIDE_PIXELS_MAX} a side are read", "image_url")
    if width * height > PIXELS_MAX:
        limit = PIXELS_MAX // 10**6
        raise TooLarge(f"a picture has {width} × {height} pixels, but {limit} million are read", "image_url")


def _in_colour(image: Image.Image) -> Image.Image:
    """Red, green and blue in 8 bits; what is transparent is white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = Image.fromarray((np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        image = Image.new("RGB", clear.size, WHITE)
        image.paste(clear, mask=clear.getchannel("A"))
    return image.convert("RGB")


def _cut(image: Image.Image, crops_max: int, pictures: Pictures) -> Crops:
    """Resized to whole columns, filled up to whole rows with white, cut. A tall picture is laid on its side for it."""
    size = pictures.crop_size
    rows, columns = layout(*image.size, crops_max, size)
    is_tall = image.width < image.height
    wide = image.transpose(Image.Transpose.TRANSPOSE) if is_tall else image
    width = max(rows, columns) * size
    height = max(1, int(width / (wide.width / wide.height)))
    canvas = Image.new("RGB", (width, min(rows, columns) * size), WHITE)
    canvas.paste(wide.resize((width, height), Image.Resampling.BILINEAR), (0, (canvas.height - height) // 2))
    pixels = _normal(canvas.transpose(Image.Transpose.TRANSPOSE) if is_tall else canvas, pictures)
    parts = pixels.reshape(3, rows, size, columns, size).transpose(1, 3, 0, 2, 4).reshape(-1, 3, size, size)
    return np.concatenate([_shrunk(pixels, size)[None], parts])


def _normal(image: Image.Image, pictures: Pictures) -> Crops:
    """`[3, height, width]`, reckoned from the mean."""
    shares = np.asarray(image, np.float32) / np.float32(255)
    normal = (shares - np.array(pictures.mean, np.float32)) / np.array(pictures.std, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


def _shrunk(pixels: Crops, size: int) -> Crops:
    """The whole picture in a crop's size, by cubic convolution (a = -0.75), each pixel from its four neighbours."""
    for axis in (1, 2):
        places, weights = _taps(pixels.shape[axis], size)
        taken = np.take(pixels, places, axis=axis)
        shape = (1, size, 4, 1) if axis == 1 else (1, 1, size, 4)
        pixels = (taken * weights.reshape(shape)).sum(axis=axis + 1, dtype=np.float32)
    return pixels


def _taps(length: int, size: int) -> tuple[NDArray[np.int64], Crops]:
    """Which four of `length` pixels make each of `size`, and their weights, `[size, 4]` both.

    Source: Keys, "Cubic convolution interpolation" (1981), with PyTorch's coefficient and its clamped edges.
    """
    centres = (np.arange(size) + 0.5) * (length / size) - 0.5
    first = np.floor(centres).astype(np.int64)
    distances = np.abs(centres[:, None] - (first[:, None] + np.arange(-1, 3)))
    near = (1.25 * distances - 2.25) * distances**2 + 1
    far = -0.75 * (((distances - 5) * distances + 8) * distances - 4)
    weights = np.where(distances <= 1, near, far).astype(np.float32)
    return (first[:, None] + np.arange(-1, 3)).clip(0, length - 1), weights
