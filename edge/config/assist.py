"""`[assist]`: the door for Home Assistant's Assist, who may come in by it, and what a sentence may have done."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from edge.config.addresses import checked, host_and_port, is_of_this_board, socket_path
from edge.config.sections import Section

SYSTEM = "You are the voice assistant of a house. Answer in one or two short sentences of plain text."
THINGS_MAX = 64
"""Each is some sentences in the prompt's grammar; more would be long to choose from."""

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\"\\]+$")]
Domain = Literal["light", "switch", "fan", "cover", "climate", "vacuum", "media_player", "input_boolean"]
"""Home Assistant's. Locks and alarms are left out: a model that mishears must not open a door."""
IntentName = Literal[
    "HassTurnOn",
    "HassTurnOff",
    "HassToggle",
    "HassLightSet",
    "HassFanSetSpeed",
    "HassSetPosition",
    "HassClimateSetTemperature",
    "HassVacuumStart",
    "HassVacuumReturnToBase",
]
"""Home Assistant's own names of those that Wyoming's conversation can have it do."""


class Thing(Section):
    """Something in the house that a sentence may be about."""

    name: Name = Field(description="what Home Assistant calls the entity, or an alias that it has there")
    domain: Domain = Field(description="of what kind it is there")
    area: Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\"\\]*$")] = Field(
        default="", description="what Home Assistant calls the room that it is in, if any"
    )


class Assist(Section):
    """`[assist]`: where it listens, to whom, and how it asks the model."""

    address: str | None = Field(
        default=None,
        description="where Home Assistant's Wyoming integration asks, such as 127.0.0.1:10400; other programs may at"
        " unix:/run/edge-slm/assist.sock; nowhere by default",
    )
    allow: list[IPv4Network | IPv6Network] = Field(
        default=[],
        description="networks that may ask beside this board, such as 192.168.1.20/32; the protocol has no password",
    )
    system: str = Field(default=SYSTEM, max_length=4096, description="system prompt; empty for the bundle's own")
    max_tokens: int = Field(default=200, ge=1, le=4096, description="length of an answer, at most")
    languages: list[str] = Field(
        default=["en"], min_length=1, description="that Home Assistant offers the board for; what its model speaks"
    )
    documents: str | None = Field(default=None, description="the board's documents that answers come from, if any")
    connections: int = Field(default=8, ge=1, le=256, description="that are served at once; others are closed")
    intents: list[IntentName] = Field(
        default=[],
        description='what a sentence may have Home Assistant do, such as ["HassTurnOn", "HassTurnOff"]; nothing by'
        " default",
    )
    things: list[Thing] = Field(
        default=[],
        max_length=THINGS_MAX,
        description='to what: [{name = "Ceiling light", domain = "light", area = "Kitchen"}]; nothing else is switched',
    )
    done: str = Field(default="Done.", max_length=256, description="what is said once Home Assistant has done it")

    @field_validator("address")
    @classmethod
    def _is_a_place(cls, address: str | None) -> str | None:
        return checked(address)

    @model_validator(mode="after")
    def _is_open_to_whom_it_should(self) -> Self:
        if not self.is_of_this_board and not self.allow:
            text = f"{self.address} can be reached from elsewhere, and the protocol has no password: say who may ask"
            raise ValueError(f'{text}, such as allow = ["192.168.1.20/32"]')
        return self

    @model_validator(mode="after")
    def _has_things_for_its_intents(self) -> Self:
        if self.intents and not self.things:
            raise ValueError("intents want things that they are about: Home Assistant tells the board of none")
        return self

    @property
    def socket_path(self) -> Path | None:
        """Of the unix socket; None where it is another address."""
        return socket_path(self.address)

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """The address taken apart; None where there is none, or it is a unix socket."""
        return host_and_port(self.address)

    @property
    def is_of_this_board(self) -> bool:
        """Whether nothing but this board reaches the address."""
        return is_of_this_board(self.address)

    def lets_in(self, peer: str) -> bool:
        """Whether one with this IP address may ask."""
        address = ipaddress.ip_address(peer.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address.is_loopback or any(address in network for network in self.allow)
