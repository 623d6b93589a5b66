"""What can be set of the other ways in and out, which are `edge/doors`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from edge.config.sections import Section
from edge.wire.topics import LEVEL


class HomeAssistant(Section):
    """`[home_assistant]`: whether the board shows itself there."""

    announce: bool = Field(
        default=False, description="have Home Assistant find this board over MQTT; false takes it back"
    )
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+){0,7}$", max_length=128)] = Field(
        default="homeassistant", description="its discovery prefix, as set there"
    )
    client: Annotated[str, Field(pattern=rf"^{LEVEL.pattern}$")] = Field(
        default="home-assistant", description="the level below request and reply that its prompts and answers have"
    )


class Prometheus(Section):
    """`[prometheus]`: readings for who scrapes."""

    textfile: Path | None = Field(
        default=None, description="file ending in .prom for node_exporter's textfile collector; none by default"
    )
    address: str | None = Field(
        default=None, description="where /metrics is served, such as 127.0.0.1:9464; nowhere by default"
    )

    @field_validator("textfile")
    @classmethod
    def _is_collected(cls, textfile: Path | None) -> Path | None:
        if textfile is not None and (textfile.suffix != ".prom" or not textfile.is_absolute()):
            raise ValueError("node_exporter reads files that end in .prom; name one by its whole path")
        return textfile

    @field_validator("address")
    @classmethod
    def _is_host_and_port(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(r"([\w.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}", address):
            raise ValueError(f"{address[:80]!r} is not HOST:PORT")
        return address

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """The address taken apart; None where there is none."""
        host, _, port = (self.address or "").rpartition(":")
        return (host.strip("[]"), int(port)) if self.address else None
