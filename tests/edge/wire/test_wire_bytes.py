"""The byte-level examples of docs/wire.md, played against a real broker and a daemon with a scripted engine."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

import pytest

from tests.clients import User
from tests.conftest import ROOT, running

EXAMPLES = re.findall(r"```wire\n(.*?)```", (ROOT / "docs/wire.md").read_text(), re.DOTALL)
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[0-9a-f]{2}\b|\?\?|…')


def pattern(line: str) -> re.Pattern[bytes]:
    """The packets that a line of an example allows: bytes in hex, text in quotes, ?? for any byte, … for any rest."""
    parts = []
    for token in TOKEN.findall(line.partition(" # ")[0]):
        if token.startswith('"'):
            parts.append(re.escape(json.loads(token).encode()))
        else:
            parts.append({"??": b".", "…": b".*"}.get(token) or re.escape(bytes.fromhex(token)))
    return re.compile(b"".join(parts), re.DOTALL)


def packet(connection: socket.socket) -> bytes:
    """The next packet, whole."""
    data = connection.recv(2)
    length, shift = data[1] & 127, 7
    while data[-1] & 128:
        data += connection.recv(1)
        length, shift = length | (data[-1] & 127) << shift, shift + 7
    while length:
        piece = connection.recv(length)
        data, length = data + piece, length - len(piece)
    return data


@pytest.mark.parametrize("example", EXAMPLES, ids=["3.1.1", "5"])
def test_the_bytes_are_these(broker: int, tmp_path: Path, example: str):
    """What a client sends is understood; what it is sent is what the page says, byte for byte."""
    settings = {
        "EDGE_DEVICE": "pi",
        "EDGE_BROKER__PORT": str(broker),
        "EDGE_JOURNAL__FOLDER": str(tmp_path / "state"),
    }
    with running([sys.executable, "-m", "edge.testing"], tmp_path / "daemon.log", settings), User(broker) as user:
        user.wait_online("pi")
        with socket.create_connection(("127.0.0.1", broker), 10) as connection:
            for line in example.strip().splitlines():
                if line.startswith(">"):
                    connection.sendall(re.sub(rb"\\(.)", rb"\1", pattern(line).pattern, flags=re.DOTALL))
                elif line.startswith("<"):
                    found = packet(connection)
                    assert pattern(line).fullmatch(found), (line, found)
