"""What a turn of a conversation is made of: texts and pictures, with the OpenAI chat API's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, PrivateAttr, StrictStr, Tag, field_validator

from edge.wire.pictures import CROPS, MEDIA_TYPES, Detail, Picture, data_uri, kind_of_uri, new_place
from edge.wire.shape import INNER, Integer, Shape, wrong
from edge.wire.volatile import Cache, split

Crops = Annotated[Integer, Field(ge=1, le=16)]
FILE = "file:"
"""How the name of a picture begins that lies on the board."""


class Part(Shape):
    """A piece of a turn."""

    type: Literal["text", "image_url"]

    def words(self) -> str:
        """As a chat template reads it."""
        raise NotImplementedError

    @property
    def is_volatile(self) -> bool:
        """Whether it says of itself that it changes from call to call."""
        return False


class TextPart(Part):
    """A piece of a turn's text. cache: `volatile` where it changes from call to call (`edge/wire/volatile.py`)."""

    type: Literal["text"]
    text: StrictStr
    cache: Cache | None = None

    def words(self) -> str:
        """As it was written."""
        return self.text

    @property
    def is_volatile(self) -> bool:
        """Whether it says so."""
        return self.cache is not None

    def cut(self, is_volatile: Callable[[str], bool]) -> list[TextPart]:
        """Itself, or what stays of it and the lines of it that are volatile, each a part of its own."""
        kept, lines = split(self.text, is_volatile)
        if self.is_volatile or not lines:
            return [self]
        marked = [TextPart(type="text", text=line, cache="volatile") for line in lines]
        return [TextPart(type="text", text=kept), *marked] if kept else marked


class ImageUrl(Shape):
    """A picture, as a data URI or as the name of a file on the board. max_crops: in place of `detail`, 1 to 16."""

    url: StrictStr
    detail: Detail = "auto"
    max_crops: Crops | None = None

    @field_validator("url")
    @classmethod
    def _is_at_hand(cls, url: str) -> str:
        if not url.startswith(FILE) and kind_of_uri(url) not in MEDIA_TYPES:
            kinds = ", ".join(MEDIA_TYPES)
            raise wrong(f"should be a base64 data URI of {kinds}, or {FILE} and a name: nothing is fetched")
        return url


class ImagePart(Part):
    """A picture in a turn."""

    type: Literal["image_url"]
    image_url: ImageUrl
    _place: str = PrivateAttr(default_factory=new_place)

    def words(self) -> str:
        """What stands for it in the text."""
        return self._place

    def picture(self) -> Picture:
        """As the engine takes it."""
        crops = self.image_url.max_crops or CROPS[self.image_url.detail]
        return Picture(self._place, self.image_url.url.partition(",")[2], crops)

    @property
    def file_name(self) -> str | None:
        """Of a picture that lies on the board."""
        return self.image_url.url.removeprefix(FILE) if self.image_url.url.startswith(FILE) else None

    def fill(self, data: bytes) -> None:
        """Take the picture that its name meant."""
        self.image_url.url = data_uri(MEDIA_TYPES[0], data)


def _as_parts(content: Any) -> Any:
    if not isinstance(content, str | list):
        raise wrong("should be a text or a list of parts")
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _kind(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
    return f"{INNER}{kind}" if kind in ("text", "image_url") else f"{INNER}other"


AnyPart = Annotated[
    Annotated[TextPart, Tag(f"{INNER}text")]
    | Annotated[ImagePart, Tag(f"{INNER}image_url")]
    | Annotated[Part, Tag(f"{INNER}other")],  # which never fits, and says what would
    Discriminator(_kind),
]
Parts = Annotated[list[AnyPart], Field(max_length=64), BeforeValidator(_as_parts)]
"""A text, or texts and pictures."""
