"""How a command reaches a broker: options for what would else be `EDGE_BROKER__…` variables or edge.toml."""

from __future__ import annotations

import argparse
import ipaddress
import math
import re
from pathlib import Path
from typing import Any

from edge.commands.inputs import read_file
from edge.config import Broker, Settings, load_settings
from edge.errors import ConfigError, UsageError
from edge.wire.topics import LEVEL

SECONDS_MAX = 1_000_000
"""The longest deadline of a request."""
PORT_TLS = 8883
"""Where brokers listen for TLS (IANA, `secure-mqtt`)."""
PASSWORD_BYTES_MAX = 65_535
"""MQTT's own bound (MQTT 5, section 1.5.6)."""

ADDRESS = re.compile(r"(?:(?P<host>[\w.-]+)|\[(?P<bracketed>[^\[\]]+)\])(?::(?P<port>[0-9]{1,9}))?")
BROKER = ("username", "tls_ca", "tls_certificate", "tls_key", "protocol")
OPTIONS = {"username": "user"}
"""Where a setting's option has another name."""


def add_connection(parser: argparse.ArgumentParser, asks: str) -> None:
    """The broker's address, and who we are there. asks: what the command wants of the board, for its help."""
    group = parser.add_argument_group(
        "the board and its broker",
        "From another machine than the board. What is not said comes from the settings; with --broker nothing does of"
        " the configured broker's user, certificates and port.",
    )
    group.add_argument(
        "--device", type=level, metavar="NAME", help=f"the board to {asks} (default: this machine's own name)"
    )
    group.add_argument(
        "--broker", type=address, metavar="HOST[:PORT]", help="its broker; port 1883, or 8883 with --tls-ca"
    )
    group.add_argument("--user", metavar="NAME", help="user name, where the broker wants one")
    group.add_argument(
        "--password-file", type=Path, metavar="FILE", help="file with the password, and nothing else in it"
    )
    group.add_argument("--tls-ca", type=Path, metavar="FILE", help="certificates to trust; turns TLS on")
    group.add_argument("--tls-certificate", type=Path, metavar="FILE", help="our own, where the broker checks it")
    group.add_argument("--tls-key", type=Path, metavar="FILE", help="the key of our own certificate")
    group.add_argument("--protocol", choices=["5", "3.1.1"], help="MQTT version to speak (default: 5)")


def level(text: str) -> str:
    """A board's name; ArgumentTypeError where it is no level of a topic that boards have."""
    if not LEVEL.fullmatch(text):
        shown = f"{text[:40]!r}{'…' if len(text) > 40 else ''}"
        raise argparse.ArgumentTypeError(f"{shown} is no board's name: 64 letters, digits, . _ - at most")
    return text


def address(text: str) -> dict[str, Any]:
    """`HOST`, `HOST:PORT`, `[IPv6]:PORT` or a bare IPv6 as settings; ArgumentTypeError where it is none of these."""
    if is_ipv6(text):
        return {"host": text}
    found = ADDRESS.fullmatch(text)
    host = found and (found["host"] or found["bracketed"])
    is_wrong = not host or host.isdecimal() or not is_host(host) or (found and found["bracketed"] and not is_ipv6(host))
    if found is None or is_wrong:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST or HOST:PORT")
    return {"host": host, **({"port": port(found["port"])} if found["port"] else {})}


def port(text: str) -> int:
    """A TCP port; ArgumentTypeError where it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text} is no port; one is a number from 1 to 65535")
    return int(text)


def is_ipv6(text: str) -> bool:
    """Whether it is such an address, with a zone or without (RFC 4007)."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """Whether it may be a machine's name: labels of 63 bytes at most, none of them empty (RFC 1035)."""
    try:
        return bool(text.encode("idna"))
    except UnicodeError:
        return False


def connected_settings(options: argparse.Namespace) -> Settings:
    """The settings in force with what the command line says of the broker. Raises ConfigError.

    Another broker is another broker: of the configured one's user, password, port and certificates it gets nothing.
    """
    if options.user and not LEVEL.fullmatch(options.user):
        raise UsageError(f"--user {options.user}: a board hears users by a level of a topic: letters, digits, . _ -")
    said = {name: value for name in BROKER if (value := getattr(options, OPTIONS.get(name, name))) is not None}
    if options.password_file:
        said["password"] = password(options.password_file)
    if options.broker is not None:
        port = {"port": PORT_TLS} if options.tls_ca else {}
        said = {**Broker().model_dump(), **port, **options.broker, **said}
    device = {"device": options.device} if options.device else {}
    return reachable(load_settings(**device, **({"broker": said} if said else {})))


def reachable(settings: Settings) -> Settings:
    """Those that can lead to a broker. ConfigError where its name is none, or a certificate something else than a file.

    OpenSSL would wait for a pipe's writer, and no signal would end that.
    """
    broker = settings.broker
    if not is_host(broker.host):
        raise ConfigError(f"broker.host: {broker.host[:80]!r} is no machine's name")
    for name in ("tls_ca", "tls_certificate", "tls_key"):
        file = getattr(broker, name)
        if file is not None and file.exists() and not file.is_file():
            raise ConfigError(f"broker.{name}: {file} is no file")
    return settings


def password(file: Path) -> str:
    """The text of a file without the line's end; ConfigError where it cannot be read."""
    try:
        return read_file(file, PASSWORD_BYTES_MAX).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error


def seconds(text: str) -> float:
    """A time that a command can wait; ArgumentTypeError where it is none."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"{text} is no time; it is a number of seconds above 0, {SECONDS_MAX} at most")
    return value


def finite(text: str) -> float:
    """A number that JSON has a place for; ArgumentTypeError where it is none."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is no number")
    return value


def how_many(text: str) -> int:
    """A number of things; ArgumentTypeError where it is none, or not even one."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 10**6):
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 up")
    return int(text)
