"""What can be set of another server that answers in this board's place."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from edge.config.sections import Section
from edge.wire.topics import LEVEL

Rule = Literal["asked", "model", "length", "hot"]
ModelName = Annotated[str, Field(min_length=1, max_length=256)]


class Upstream(Section):
    """`[upstream]`: a server that speaks OpenAI's chat API, to which requests may be passed. Off without a url."""

    url: str | None = Field(
        default=None,
        description="what its API's addresses begin with, such as https://models.example/v1; none by default",
    )
    name: Annotated[str, Field(pattern=rf"^{LEVEL.pattern}$")] = Field(
        default="upstream", description="what replies call it, and models that are asked for there: NAME/MODEL"
    )
    models: list[ModelName] = Field(
        default=[], description="models of it that may be asked for; the first takes what asks for no other"
    )
    when: list[Rule] = Field(
        default=["asked"],
        description="what is passed: what asks for it, what wants a model that is not here, what is longer than the"
        " bundle's context, what comes while the board is too hot",
    )
    clients: list[Annotated[str, Field(min_length=1, max_length=128)]] = Field(
        default=[],
        description="whose requests may be passed, by the client's level of the topic; everyone's by default",
    )
    key: SecretStr | None = Field(
        default=None, description="its key; better as the credential upstream_key than in a file"
    )
    silent_seconds: float = Field(
        default=60, gt=0, le=3600, description="time until its first word, or between two, after which it is given up"
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = _split(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\0-\x1f\x7f]", url):
            raise ValueError(f"{url[:200]!r} is no address with http:// or https://")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("should have no user, query or fragment: its key is upstream.key")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.url is None:
            return self
        if not self.models:
            raise ValueError("models is empty: name at least one that may be asked for at url")
        if self.key is not None and self.url.startswith("http://") and not self.is_loopback:
            raise ValueError("url is http://, which would show the key to the network: use https://")
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this board."""
        host = _split(self.url or "").hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is looked at only when it is asked for
    except ValueError as error:
        raise ValueError(f"{url[:200]!r} is no address: {error}") from error
    return parts
