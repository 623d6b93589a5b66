"""What a turn of a conversation is made of: texts and pictures, with the OpenAI chat API's names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, StrictStr, field_validator

from edge.wire.pictures import CROPS, MEDIA_TYPES, Detail, Picture, data_uri, new_place

DATA_URIS = tuple(data_uri(kind, b"") for kind in MEDIA_TYPES)
"""How a picture begins that travels with its request (RFC 2397)."""
FILE = "file:"
"""How the name of a picture begins that lies on the board."""


class TextPart(BaseModel):
    """A piece of a turn's text."""

    type: Literal["text"]
    text: StrictStr

    def words(self) -> str:
        """As a chat template reads it."""
        return self.text


class ImageUrl(BaseModel):
    """A picture, as a data URI or as the name of a file on the board. max_crops: in place of `detail`, 1 to 16."""

    url: StrictStr
    detail: Detail = "auto"
    max_crops: Annotated[int, Field(strict=True, ge=1, le=16)] | None = None

    @field_validator("url")
    @classmethod
    def _is_at_hand(cls, url: str) -> str:
        if not url.startswith((*DATA_URIS, FILE)):
            kinds = ", ".join(MEDIA_TYPES)
            raise ValueError(f"a picture is a base64 data URI of {kinds}, or {FILE} and a name: nothing is fetched")
        return url


class ImagePart(BaseModel):
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
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Parts = Annotated[list[Part], Field(max_length=64), BeforeValidator(_as_parts)]
"""A text, or texts and pictures."""
