"""`[assist]`: the door for Home Assistant's Assist, and who may come in by it."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Network, IPv6Network
from typing import Self

from pydantic import Field, field_validator, model_validator

from edge.config.http import HOST_AND_PORT
from edge.config.sections import Section

SYSTEM = "You are the voice assistant of a house. Answer in one or two short sentences of plain text."


class Assist(Section):
    """`[assist]`: where it listens, to whom, and how it asks the model."""

    address: str | None = Field(
        default=None,
        description="where Home Assistant's Wyoming integration asks, such as 127.0.0.1:10400; nowhere by default",
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

    @field_validator("address")
    @classmethod
    def _is_host_and_port(cls, address: str | None) -> str | None:
        if address is not None and (not (found := HOST_AND_PORT.fullmatch(address)) or int(found[2]) > 65535):
            raise ValueError(f"{address[:120]!r} is not HOST:PORT")
        return address

    @model_validator(mode="after")
    def _is_open_to_whom_it_should(self) -> Self:
        if self.host_and_port and not self.is_of_this_board and not self.allow:
            text = f"{self.address} can be reached from elsewhere, and the protocol has no password: say who may ask"
            raise ValueError(f'{text}, such as allow = ["192.168.1.20/32"]')
        return self

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """The address taken apart; None where there is none."""
        host, _, port = (self.address or "").rpartition(":")
        return (host.strip("[]"), int(port)) if self.address else None

    @property
    def is_of_this_board(self) -> bool:
        """Whether nothing but this board reaches the address."""
        host = self.host_and_port[0] if self.host_and_port else "localhost"
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def lets_in(self, peer: str) -> bool:
        """Whether one with this IP address may ask."""
        address = ipaddress.ip_address(peer.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address.is_loopback or any(address in network for network in self.allow)
