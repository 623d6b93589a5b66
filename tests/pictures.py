"""Pictures drawn here, good and bad, as an asker would send them; seeded, so that each is always the same."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from edge.wire import chunks
from tests.clients import User

PROMPT = "What do you see?"


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft colours with some noise, so that it is as large as a picture is when compressed."""
    chance = np.random.default_rng(seed)
    down, across = np.mgrid[:height, :width]
    waves = [np.sin(down / chance.uniform(9, 90) + across / chance.uniform(9, 90)) for _ in range(3)]
    pixels = 127 + 90 * np.stack(waves, -1) + chance.normal(0, 6, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """As a file's bytes."""
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def empty_png(width: int, height: int) -> bytes:
    """A PNG whose header promises black pixels by the milliard, in a few kilobytes."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((width // 8 + 1) * min(height, 2000)), 9)
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_part(*part) for part in parts)


def _png_part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@dataclass(frozen=True)
class Sent:
    """Messages of a request: payloads with MQTT 5 properties by paho's names, whole or on the chunk topic.

    code: what the one terminal message has. tokens: of the picture, where it is answered.
    """

    code: int
    packets: list[tuple[bytes, dict[str, Any]]]
    tokens: int = 0
    in_chunks: bool = False
    says: str = ""


def whole(code: int, data: bytes, content_type: str = "image/jpeg", tokens: int = 0, says: str = "") -> Sent:
    """A picture in one message, its prompt beside it."""
    asked = {"ContentType": content_type, "UserProperty": [("edge-prompt", PROMPT), ("edge-max_tokens", "4")]}
    return Sent(code, [(data, asked)], tokens, says=says)


def in_chunks(code: int, change: Any, tokens: int = 0, says: str = "") -> Sent:
    """A picture in chunks that something happened to."""
    data = encoded(photograph(900, 600), quality=97)
    packets = []
    for piece, head in chunks.chunks(data, "upload-1", in_properties=True):
        asked = [("edge-prompt", PROMPT), ("edge-max_tokens", "4"), *head]
        packets.append((piece, {"ContentType": "image/jpeg", "UserProperty": asked}))
    assert len(packets) > 2
    return Sent(code, change(packets), tokens, True, says)


def with_sha256(packets: list[tuple[bytes, dict[str, Any]]], sha256: str) -> list[tuple[bytes, dict[str, Any]]]:
    """The same chunks that promise another checksum."""
    return [
        (data, {**of, "UserProperty": [(k, sha256 if k == "edge-sha256" else v) for k, v in of["UserProperty"]]})
        for data, of in packets
    ]


def sent(user: User, what: Sent) -> dict[str, Any]:
    """A picture's messages out; its terminal message."""
    topic = "edge/test/chunk/me" if what.in_chunks else "edge/test/request/me"
    for data, properties in what.packets:
        user.send(topic, data, **properties)
    return user.answer(20)[1]


def kinds() -> dict[str, Sent]:
    """Fifteen kinds of pictures that are strange, broken or mean harm, and what becomes of each."""
    usual = photograph(400, 300)
    jpeg = encoded(usual)
    grey = Image.fromarray((np.mgrid[:300, :400][1] * 163).astype(np.uint16))
    clear = usual.convert("RGBA")
    clear.putalpha(128)
    frames = [photograph(64, 64, seed) for seed in range(3)]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    html = b"<html><body><img src=x onerror=alert(1)></body></html>"
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>'
    return {
        "truncated JPEG": whole(400, jpeg[: len(jpeg) // 2], says="damaged"),
        "bomb PNG": whole(413, empty_png(60_000, 60_000), "image/png", says="pixels"),
        "30,000 × 30,000": whole(413, encoded(Image.new("1", (30_000, 30_000)), "PNG"), "image/png", says="pixels"),
        "zero bytes": whole(400, b"", says="no JPEG, PNG or WebP"),
        "wrong type": whole(200, encoded(usual, "PNG"), "image/jpeg", tokens=757),
        "animated GIF": whole(415, gif, "image/gif", says="image/gif"),
        "CMYK": whole(200, encoded(usual.convert("CMYK")), tokens=757),
        "16-bit": whole(200, encoded(grey, "PNG"), "image/png", tokens=757),
        "alpha": whole(200, encoded(clear, "WEBP"), "image/webp", tokens=757),
        "EXIF-rotated": whole(200, encoded(photograph(900, 300), exif=_exif(6)), tokens=625),
        "SVG": whole(415, svg, "image/svg+xml", says="image/svg"),
        "HTML named .jpg": whole(400, html, says="no JPEG, PNG or WebP"),
        "chunk missing": in_chunks(400, lambda packets: [packets[0], *packets[2:]], says="chunk 1 of"),
        "chunk twice": in_chunks(200, lambda packets: [packets[0], packets[0], *packets[1:]], tokens=757),
        "checksum wrong": in_chunks(400, lambda packets: with_sha256(packets, "0" * 64), says="sha256"),
    }


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif
