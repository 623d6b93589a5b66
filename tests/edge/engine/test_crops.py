"""From a picture's bytes to crops: every kind of file the same colours, tokens as the published formula has them."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

from edge.bundle import Pictures
from edge.engine.pictures.crops import PIXELS_MAX, crops_of, size_of
from edge.engine.pictures.vision import Seen
from edge.errors import BadRequest, TooLarge
from edge.wire.pictures import CROPS, columns_of, layout, media_type, tokens_at_most, tokens_of
from export.vision import pictures as published
from tests.pictures import empty_png, encoded, photograph

PICTURES: Pictures = published()
MEAN, STD = (np.array(each, np.float32).reshape(3, 1, 1) for each in (PICTURES.mean, PICTURES.std))


@pytest.mark.parametrize(
    ("width", "height", "crops", "grid", "tokens"),
    [
        (400, 300, 4, (2, 2), 757),
        (1344, 1344, 16, (4, 4), 2509),
        (200, 700, 4, (3, 1), 625),
        (900, 90, 4, (1, 4), 745),
        (5, 5, 1, (1, 1), 313),
        (1, 20_000, 16, (16, 1), 2653),
        (640, 480, 16, (3, 4), 1921),
    ],
)
def test_tokens_of_a_picture(width, height, crops, grid, tokens):
    """Grid and tokens as the hub's processor reckons them, landscape, portrait, tiny and drawn out."""
    assert layout(width, height, crops, 336) == grid
    assert tokens_of(*grid, 12) == tokens
    pixels = crops_of(encoded(Image.new("RGB", (width, height)), "PNG"), crops, PICTURES)
    assert pixels.shape == (1 + grid[0] * grid[1], 3, 336, 336)


@given(some.integers(1, 20_000), some.integers(1, 20_000), some.sampled_from([1, 2, 3, 4, 9, 16]))
@settings(max_examples=500)
def test_no_shape_costs_more_than_is_counted(width, height, crops):
    """Of whatever shape, a picture has as many crops as were allowed at most, and tokens as were counted at most."""
    rows, columns = layout(width, height, crops, 336)
    assert 1 <= rows * columns <= crops
    assert tokens_of(rows, columns, 12) <= tokens_at_most(crops, 12)
    assert columns_of(max(width, height) / min(width, height), crops) == max(rows, columns)


def colours(data: bytes) -> np.ndarray:
    """The whole picture in one crop, as red, green and blue from 0 to 255."""
    return (crops_of(data, 1, PICTURES)[1] * STD + MEAN) * 255


def test_every_mode_shows_the_same_colours():
    """Palette, CMYK, 16 bits, grey, transparent over white: what a person would see."""
    red = Image.new("RGB", (336, 336), (200, 30, 40))
    for data in (
        encoded(red, "PNG"),
        encoded(red, "JPEG", quality=100),
        encoded(red, "WEBP", lossless=True),
        encoded(red.quantize(4), "PNG"),
    ):
        assert np.abs(colours(data).mean((1, 2)) - (200, 30, 40)).max() < 2
    cmyk = colours(encoded(Image.new("CMYK", (336, 336), (0, 255, 255, 0)), "JPEG", quality=100))
    assert cmyk[0].min() > 200
    assert cmyk[1:].max() < 60
    deep = Image.fromarray(np.full((336, 336), 128 * 257, np.uint16))
    assert np.abs(colours(encoded(deep, "PNG")) - 128).max() < 1
    clear = Image.new("RGBA", (336, 336), (200, 30, 40, 0))
    assert colours(encoded(clear, "PNG")).min() > 254
    bright = Image.new("LA", (336, 336), (0, 128))
    assert np.abs(colours(encoded(bright, "PNG")) - 127).max() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_picture_upright(orientation):
    """Each of the eight orientations gives the crops, and the size, of the picture as it was taken."""
    upright = photograph(500, 250)
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera held so would have stored
    stored = upright.transpose(Image.Transpose(turns[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "PNG", exif=exif)
    assert size_of(data) == (500, 250)
    assert np.array_equal(crops_of(data, 4, PICTURES), crops_of(encoded(upright, "PNG"), 4, PICTURES))


def test_the_first_frame_of_a_moving_picture_is_seen():
    """Of an animated WebP."""
    frames = [Image.new("RGB", (64, 64), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert colours(data)[0].mean() > 240


def test_crops_lie_where_the_picture_has_them():
    """Line by line behind the whole; a wide picture is filled up with white above and below."""
    corners = Image.new("RGB", (672, 672))
    for number, place in enumerate([(0, 0), (336, 0), (0, 336), (336, 336)]):
        corners.paste((60 * number,) * 3, (*place, place[0] + 336, place[1] + 336))
    found = crops_of(encoded(corners, "PNG"), 4, PICTURES)
    shades = [float((crop * STD + MEAN)[0].mean()) * 255 for crop in found[1:]]
    assert shades == pytest.approx([0, 60, 120, 180], abs=0.5)
    wide = (crops_of(encoded(Image.new("RGB", (672, 300)), "PNG"), 2, PICTURES)[1] * STD + MEAN) * 255
    assert wide[:, :17].min() > 254
    assert wide[:, 19:317].max() < 1
    assert wide[:, 319:].min() > 254


def test_sizes_are_looked_at_before_pixels():
    """A header that promises milliards is refused without memory being asked for."""
    with pytest.raises(TooLarge, match="60000 × 60000 pixels"):
        size_of(empty_png(60_000, 60_000))
    side = int(PIXELS_MAX**0.5) + 1
    with pytest.raises(TooLarge, match="million"):
        crops_of(empty_png(side, side), 4, PICTURES)
    for width, height in ((1, PIXELS_MAX - 1), (PIXELS_MAX - 1, 1), (65_536, 1)):
        with pytest.raises(TooLarge, match="a side"):
            size_of(empty_png(width, height))


def test_a_size_is_known_without_a_pixel():
    """Behind the header there is nothing at all: its size is told, its crops are not."""
    for kind in ("PNG", "JPEG"):
        data = encoded(photograph(640, 480), kind)
        assert size_of(data[:1000]) == (640, 480)
        with pytest.raises(BadRequest):
            crops_of(data[:1000], 4, PICTURES)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_comments_are_not_unpacked_without_end():
    """Sixty of a megabyte each, in sixty kilobytes: refused, like a profile of two hundred megabytes."""
    note, profile = zlib.compress(b"a" * 1_000_000), zlib.compress(b"\0" * 200_000_000)
    notes = b"".join(chunk(b"zTXt", b"%d\0\0" % number + note) for number in range(60))
    whole = encoded(photograph(60, 50), "PNG")
    for more in (notes, chunk(b"iCCP", b"x\0\0" + profile)):
        with pytest.raises(BadRequest):
            size_of(whole[:33] + more + whole[33:])


@pytest.mark.slow
@given(some.binary(max_size=300), some.integers(0, 2**32), some.sampled_from(["JPEG", "PNG", "WEBP"]))
@settings(max_examples=300)
def test_damaged_pictures_are_faults(noise, seed, kind):
    """Any bytes put into a picture anywhere: crops, or a fault that can be sent; never another error."""
    data = bytearray(encoded(photograph(60, 50), kind))
    place = seed % len(data)
    data[place : place + len(noise)] = noise
    for broken in (bytes(data), bytes(data[:place]), noise):
        try:
            seen = Seen(broken, 4, PICTURES)
            assert seen.crops().shape == (1 + seen.rows * seen.columns, 3, 336, 336)
        except (BadRequest, TooLarge):
            continue


def test_kinds_are_known_by_their_first_bytes():
    """Not by a name."""
    small = photograph(9, 9)
    assert [media_type(encoded(small, kind)) for kind in ("JPEG", "PNG", "WEBP", "GIF")] == [
        "image/jpeg",
        "image/png",
        "image/webp",
        None,
    ]
    assert list(CROPS.values()) == [1, 4, 16]
