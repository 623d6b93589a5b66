"""How a command reaches a broker: options for what would else be `EDGE_BROKER__…` variables or edge.toml."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from edge.config import Settings, load_settings
from edge.errors import ConfigError

PORT_TLS = 8883
"""Where brokers listen for TLS (IANA, `secure-mqtt`)."""

ADDRESS = re.compile(
    r"(?:(?P<host>[^\s:\[\]]+)|\[(?P<bracketed>[^\s\[\]]+)\])(?::(?P<port>[0-9]{1,9}))?|(?P<bare>[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)"
)


def add_connection(parser: argparse.ArgumentParser, asks: str) -> None:
    """The broker's address, and who we are there. asks: what the command wants of the board, for its help."""
    group = parser.add_argument_group(
        "the board and its broker", "From another machine than the board. What is not said comes from the settings."
    )
    group.add_argument("--device", metavar="NAME", help=f"the board to {asks} (default: this machine's own name)")
    group.add_argument("--broker", type=address, metavar="HOST[:PORT]", help="its broker (port 8883 with --tls-ca)")
    group.add_argument("--user", metavar="NAME", help="user name, where the broker wants one")
    group.add_argument(
        "--password-file", type=Path, metavar="FILE", help="file with the password, and nothing else in it"
    )
    group.add_argument("--tls-ca", type=Path, metavar="FILE", help="certificates to trust; turns TLS on")
    group.add_argument("--tls-certificate", type=Path, metavar="FILE", help="our own, where the broker checks it")
    group.add_argument("--tls-key", type=Path, metavar="FILE", help="the key of our own certificate")
    group.add_argument("--protocol", choices=["5", "3.1.1"], help="MQTT version to speak (default: 5)")


def address(text: str) -> dict[str, Any]:
    """`HOST`, `HOST:PORT`, `[IPv6]:PORT` or a bare IPv6 as settings; ArgumentTypeError where it is none of these."""
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST or HOST:PORT")
    said: dict[str, Any] = {"host": found["host"] or found["bracketed"] or found["bare"]}
    if found["port"] and not 0 < int(found["port"]) < 65536:
        raise argparse.ArgumentTypeError(f"{found['port']} is no port; one is a number from 1 to 65535")
    return said | ({"port": int(found["port"])} if found["port"] else {})


def connected_settings(options: argparse.Namespace) -> Settings:
    """The settings in force with what the command line says of the broker. Raises ConfigError."""
    said: dict[str, Any] = dict(options.broker or {})
    if options.tls_ca and options.broker:
        said.setdefault("port", PORT_TLS)
    if options.password_file:
        said["password"] = password(options.password_file)
    named = {
        "username": options.user,
        "tls_ca": options.tls_ca,
        "tls_certificate": options.tls_certificate,
        "tls_key": options.tls_key,
        "protocol": options.protocol,
    }
    said |= {name: value for name, value in named.items() if value is not None}
    device = {"device": options.device} if options.device else {}
    return load_settings(**device, **({"broker": said} if said else {}))


def password(file: Path) -> str:
    """The text of a file without the line's end; ConfigError where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
