"""Which web pages reach the broker: those of this machine, of the host that was asked, and whatever was named."""

from __future__ import annotations

import base64
import os
import socket

import mqtt5
import pytest

from tests.conftest import embedded_broker, free_port
from tests.edge.mqtt.raw import Raw, log_of


def upgrade(port: int, *headers: str) -> tuple[int, socket.socket]:
    """A WebSocket's opening request with these headers: the status, and the socket."""
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["GET /mqtt HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt", *headers]
    made.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += made.recv(4096) or b"HTTP/1.1 400 nothing at all\r\n\r\n"
    return int(head.split()[1]), made


def status(port: int, origin: str | None, host: str = "") -> int:
    """What a page of an origin is answered, where it asked for a host."""
    headers = [f"Host: {host or f'127.0.0.1:{port}'}"] + ([f"Origin: {origin}"] if origin is not None else [])
    code, made = upgrade(port, *headers)
    made.close()
    return code


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    """A broker with a WebSocket port and nothing named: the port, and its folder."""
    folder, port = tmp_path_factory.mktemp("origins"), free_port()
    with embedded_broker(folder, websocket_port=port):
        yield port, folder


@pytest.mark.parametrize(
    ("origin", "host", "let_in"),
    [
        (None, "", True),
        ("http://localhost:8000", "", True),
        ("http://LOCALHOST", "", True),
        ("https://127.0.0.1", "", True),
        ("http://[::1]:9001", "", True),
        ("http://192.168.1.7:8000", "192.168.1.7:9001", True),
        ("http://kiosk.local", "kiosk.local:9001", True),
        ("http://box", "box:9001", True),
        ("http://[fd00::7]", "[fd00::7]:9001", True),
        ("http://evil.example.com", "", False),
        ("https://evil.example.com", "localhost:9001", False),
        ("http://192.168.1.8", "192.168.1.7:9001", False),
        ("http://localhost.evil.com", "", False),
        ("http://evil.com", "evil.com:9001", False),
        ("http://127.0.0.1.evil.com", "127.0.0.1:9001", False),
        ("http://localhost@evil.com", "", False),
        ("http://evil.com/?http://localhost", "", False),
        ("null", "", False),
        ("file://", "", False),
        ("", "", False),
        ("http://", "", False),
        ("http://[::1", "", False),
        ("http://kiosk.local", "[::1", False),
        ("javascript:alert(1)", "", False),
    ],
)
def test_who_is_let_in(way, origin, host, let_in):
    """101 or 403. A public name is nobody's proof: it can be made to lead to this machine (DNS rebinding)."""
    assert status(way[0], origin, host) == (101 if let_in else 403)


def test_two_origins_are_none(way):
    """A request that says two things is refused, and what it said cannot forge a line of the log."""
    code, made = upgrade(way[0], f"Host: 127.0.0.1:{way[0]}", "Origin: http://localhost", "Origin: http://evil.com")
    made.close()
    assert code == 403


def test_a_refusal_is_in_the_log(way):
    """With the origin, and what to do."""
    assert status(way[0], "http://a.page.com\tINFO forged") == 403
    assert r"a page of 'http://a.page.com\tINFO forged' may not connect (see --origin)" in log_of(way[1])


def test_origins_are_named(tmp_path):
    """--origin adds one, twice adds two, in any case and with a slash at its end; * lets every page in."""
    port = free_port()
    options = ["--origin=https://Board.example.org/", "--origin", "null"]
    with embedded_broker(tmp_path, websocket_port=port, extra=options):
        assert status(port, "https://board.example.org") == 101
        assert status(port, "null") == 101
        assert status(port, "http://board.example.org") == 403
        assert status(port, "https://board.example.org:444") == 403
    port = free_port()
    with embedded_broker(tmp_path, websocket_port=port, extra=["--origin=*"]):
        assert status(port, "http://evil.com") == 101


def test_a_refused_page_disturbs_nobody(tmp_path):
    """A hundred refusals and half-open handshakes: a TCP client is served, and the log stays short."""
    port = free_port()
    with embedded_broker(tmp_path, websocket_port=port) as tcp, Raw(tcp, "bystander") as bystander:
        half = [socket.create_connection(("127.0.0.1", port)) for _ in range(80)]
        for _ in range(100):
            assert status(port, "http://evil.com") == 403
        for each in half:
            each.close()
        assert isinstance(bystander.ask(mqtt5.PingReqPacket()), mqtt5.PingRespPacket)
    assert log_of(tmp_path).count("evil.com") <= 50
    assert "Traceback" not in log_of(tmp_path)
