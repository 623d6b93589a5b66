"""`[http]`: the door for programs that speak OpenAI's API, and who may come in by it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from edge.config.addresses import checked, host_and_port, is_of_this_board, socket_path
from edge.config.sections import Section

ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,255}")
Origin = Annotated[str, Field(pattern=rf"^{ORIGIN.pattern}$")]
Alias = Annotated[str, Field(min_length=1, max_length=256)]


class Http(Section):
    """`[http]`: where it listens, to whom, and what they may call the model."""

    address: str | None = Field(
        default=None,
        description="where programs that speak OpenAI's API ask, such as 127.0.0.1:8080 or"
        " unix:/run/edge-slm/http.sock; nowhere by default",
    )
    tokens: SecretStr | None = Field(
        default=None,
        description="who may ask, a line each: NAME TOKEN, or NAME sha256:HEX; better as the credential http_tokens",
    )
    token_file: Path | None = Field(default=None, description="the same in a file")
    tls_certificate: Path | None = Field(default=None, description="our certificate with its chain; turns TLS on")
    tls_key: Path | None = Field(default=None, description="its key")
    behind_proxy: bool = Field(
        default=False,
        description="say true where a reverse proxy on the way does TLS: beyond this board none is wanted",
    )
    hosts: list[str] = Field(
        default=[],
        description="names beside the address that a request's Host may have; on loopback others are refused",
    )
    origins: list[Origin] = Field(
        default=[], description="web pages whose scripts may ask, as https://panel.example; none by default"
    )
    aliases: list[Alias] = Field(
        default=[], description="other names that the model answers to, for programs that ask for a fixed one"
    )
    connections: int = Field(default=32, ge=1, le=1024, description="that are served at once; others get 503")

    @field_validator("address")
    @classmethod
    def _is_a_place(cls, address: str | None) -> str | None:
        return checked(address)

    @model_validator(mode="after")
    def _is_open_to_whom_it_should(self) -> Self:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key go together: name both")
        if self.tls_certificate and self.socket_path:
            raise ValueError("tls_certificate is for an address with a port: a unix socket is on this board alone")
        if self.address is None or self.is_of_this_board:
            return self
        if not (self.tokens or self.token_file):
            raise ValueError(f"{self.address} can be reached from elsewhere: say who may ask (tokens or token_file)")
        if not (self.tls_certificate or self.behind_proxy):
            raise ValueError(
                f"{self.address} can be reached from elsewhere, and tokens would cross the network in clear: name"
                " tls_certificate and tls_key, or say behind_proxy = true where a reverse proxy does TLS"
            )
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
        """Whether nothing but this board reaches it."""
        return is_of_this_board(self.address)
