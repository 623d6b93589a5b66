"""A picture on its way to the engine, and what it costs: into how many crops it is cut, how many tokens these are.

Source: InternLM-XComposer2-4KHD (arXiv:2404.06512), as Phi-3-vision's processor does it.
"""

from __future__ import annotations

import base64
import math
import re
import uuid
from dataclasses import dataclass
from typing import Literal

Detail = Literal["low", "auto", "high"]
CROPS: dict[Detail, int] = {"low": 1, "auto": 4, "high": 16}
"""Crops at most, beside the whole picture, by the OpenAI API's word for it."""
MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp")
SAME_TYPES = {"image/jpg": "image/jpeg"}
"""What some programs call them."""
MAGIC = re.compile(rb"(?P<jpeg>\xff\xd8\xff)|(?P<png>\x89PNG\r\n\x1a\n)|(?P<webp>RIFF....WEBP)", re.DOTALL)
"""How the three begin."""


@dataclass(frozen=True)
class Picture:
    """A picture of a request. place: the text that stands for it in a turn. data: a JPEG, PNG or WebP in base64.

    crops_max: how many crops it may be cut into at most.
    """

    place: str
    data: str
    crops_max: int


def layout(width: int, height: int, crops_max: int, crop_size: int) -> tuple[int, int]:
    """Rows and columns of crops of a picture of some pixels: as large as they may be, in its own shape."""
    longer, shorter = max(width, height), min(width, height)
    columns = columns_of(longer / shorter, crops_max)
    rows = math.ceil(max(1, int(columns * crop_size / (longer / shorter))) / crop_size)
    return (rows, columns) if width >= height else (columns, rows)


def columns_of(ratio: float, crops_max: int) -> int:
    """The most crops beside each other, the other side needing as many rows as the ratio says."""
    return max(count for count in range(1, crops_max + 1) if count * math.ceil(count / ratio) <= crops_max)


def tokens_of(rows: int, columns: int, side_tokens: int) -> int:
    """Tokens of a cut picture: its crops' and the whole one's, a separator a line, and one between the two."""
    return (rows * columns + 1) * side_tokens**2 + (rows + 1) * side_tokens + 1


def tokens_at_most(crops_max: int, side_tokens: int) -> int:
    """What a picture of whatever shape may cost: the tallest has the most lines."""
    return tokens_of(crops_max, 1, side_tokens)


def media_type(data: bytes) -> str | None:
    """What a picture is by its first bytes; None for what boards do not read."""
    found = MAGIC.match(data)
    return found and f"image/{found.lastgroup}"


def data_uri(kind: str, data: bytes) -> str:
    """A picture as it travels with its request (RFC 2397). kind: its media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def kind_of_uri(uri: str) -> str | None:
    """The media type that a base64 data URI names, whatever its letters; None for any other text."""
    head, comma, _ = uri[:256].partition(",")
    kind, *parameters = head.lower().split(";")
    if not comma or not kind.startswith("data:") or parameters[-1:] != ["base64"]:
        return None
    return canonical(kind.removeprefix("data:").strip())


def canonical(kind: str) -> str:
    """A media type in small letters, by its registered name."""
    return SAME_TYPES.get(kind.lower(), kind.lower())


def new_place() -> str:
    """A text that stands for a picture in a prompt; nobody can guess it, so that no prompt can say it."""
    return f"<|picture {uuid.uuid4().hex}|>"
