"""Who comes in, and how much of what they bring is read."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from edge.config import Settings
from edge.doors.http.entrance import host_of
from edge.doors.http.server import Http, tls_context
from edge.doors.http.tokens import Tokens, read_tokens
from edge.doors.listening import listening
from edge.errors import ConfigError
from edge.testing.inside import MemoryInside
from tests.conftest import free_port, wait_until
from tests.edge.doors.http.doors import INFO, SAID, bodies, door

TOKEN = "0123456789abcdef-of-the-kiosk"
OTHER = "fedcba9876543210-of-the-panel"
TOKENS = f"# who may ask\nkiosk {TOKEN}\n\npanel sha256:{hashlib.sha256(OTHER.encode()).hexdigest()}\n"
CHAT, ASK = "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[tuple[MemoryInside, str]]:
    """A door on loopback, and its inside."""
    inside = MemoryInside(bodies())
    with door(inside, hosts=["Board.local"], origins=["https://panel.example"]) as address:
        yield inside, address


def test_what_curl_sends(open_to_all):
    """`curl -d` says that it is a form; what is said counts, not what it says it is."""
    _, address = open_to_all
    command = ["curl", "-sS", "--max-time", "20", f"{address}{CHAT}"]
    done = subprocess.run([*command, "-d", '{"messages": [{"role": "user", "content": "x"}]}'], capture_output=True)
    assert SAID.encode() in done.stdout
    stream = '{"stream": true, "messages": [{"role": "user", "content": "x"}]}'
    done = subprocess.run([*command, "-N", "-d", stream], capture_output=True, check=True)
    assert done.stdout.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("said", "name"),
    [("board.local:80", "board.local"), ("[::1]:80", "::1"), ("[::1]", "::1"), (" LOCALHOST ", "localhost"), ("", "")],
)
def test_a_hosts_name(said, name):
    """Without its port and its brackets."""
    assert host_of(said) == name


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "BOARD.local"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "127.0.0.1.rebound.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "https://panel.example"}, 200),
        ({"Origin": "https://panel.example.evil"}, 403),
        ({"Origin": "http://127.0.0.1:8000"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/health/live", CHAT])
def test_no_page_comes_in_by_a_browser(headers, status, path, open_to_all):
    """Not by a name that it lets point here, not from another site, unless the operator named it."""
    inside, address = open_to_all
    inside.asked = []
    said = httpx.request("POST" if path == CHAT else "GET", address + path, headers=headers, json=ASK)
    assert said.status_code == status
    assert len(inside.asked) == (path == CHAT and status == 200)
    if status == 403:
        assert said.json()["error"]["param"] == next(iter(headers))


def test_a_named_page_may_read_what_it_gets(open_to_all):
    """The browser asks first, and is told; others are told nothing."""
    _, address = open_to_all
    asked = {"Origin": "https://panel.example", "Access-Control-Request-Method": "POST"}
    said = httpx.options(address + CHAT, headers=asked | {"Access-Control-Request-Headers": "content-type"})
    assert (said.status_code, said.headers["access-control-allow-origin"]) == (200, "https://panel.example")
    said = httpx.options(address + CHAT, headers=asked | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in said.headers


@pytest.mark.parametrize(("given", "is_kept"), [("mine-1", True), ("x" * 129, False), ("a b", False), ("", False)])
def test_a_request_has_a_name(given, is_kept, open_to_all):
    """The asker's where it is a plain one, and in refusals as well."""
    _, address = open_to_all
    for path in ("/health/live", "/nowhere"):
        name = httpx.get(address + path, headers={"X-Request-Id": given}).headers["x-request-id"]
        assert (name == given) is is_kept
        assert name


def test_what_is_too_large_is_not_read(open_to_all):
    """Whether it says so before or not; what comes after is another request."""
    inside, address = open_to_all
    inside.asked = []
    large = b" " * (INFO["payload_bytes"] + 70_000)
    assert httpx.post(address + CHAT, content=large).status_code == 413
    assert httpx.post(address + CHAT, content=(large[:9000] for _ in range(40))).status_code == 413
    assert inside.asked == []


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b'"x"', None),
        (b"{", None),
        (b"\xff\xfe", None),
        (b'{"messages": ' + b"[" * 1000, None),
        (b"{}", "messages"),
        (b'{"messages": null}', "messages"),
        (b'{"messages": [{"role": "user", "content": "\\u0000"}]}', "messages.0.content"),
        (b'{"messages": [{"role": "user", "content": "x"}], "seed": NaN}', "seed"),
    ],
)
def test_what_is_no_request_is_refused(content, param, open_to_all):
    """400 in OpenAI's shape, before anything is asked where it is no object."""
    _, address = open_to_all
    said = httpx.post(address + CHAT, content=content)
    assert (said.status_code, said.json()["error"]["type"]) == (400, "invalid_request_error")
    assert said.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", CHAT, 405), ("PUT", CHAT, 405)]
)
def test_what_is_not_there(method, path, status, open_to_all):
    """An error in OpenAI's shape; another method is told which there are."""
    said = httpx.request(method, open_to_all[1] + path)
    assert (said.status_code, said.json()["error"]["code"]) == (status, "unknown_url")
    assert ("allow" in said.headers) is (status == 405)


def raw(address: str, *sent: bytes) -> socket.socket:
    """A connection on which something was said."""
    port = int(address.rpartition(":")[2])
    made = socket.create_connection(("127.0.0.1", port), 40)
    for each in sent:
        made.sendall(each)
    return made


def told(connected: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and error of an answer without more behind it; the connection is at its end."""
    said = b""
    with connected:
        while more := connected.recv(65_536):
            said += more
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]


NO_HTTP = {
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n", 400),
    "no request line": (b"hello\r\n\r\n", 400),
    "a header without a name": (b"GET / HTTP/1.1\r\n: x\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
    "no Host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "a long line": (b"GET /" + b"a" * 20_000, 431),
    "many headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: b\r\n" * 4_000, 431),
    "a chunk without a size": (
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        400,
    ),
}


@pytest.mark.parametrize("case", NO_HTTP)
def test_what_is_no_http_is_told_as_everything_is(case, open_to_all):
    """In OpenAI's shape, before any path has it, and the connection ends; the door goes on."""
    _, address = open_to_all
    data, status = NO_HTTP[case]
    found, error = told(raw(address, data))
    assert (found, error["type"]) == (status, "invalid_request_error")
    assert httpx.get(f"{address}/health/live").status_code == 200


@pytest.mark.slow
def test_who_says_nothing_is_let_go(open_to_all):
    """A connection without a request, one that stops within its head, at the first request or at a later one.

    A head that comes byte by byte is no sign of life. Others are served meanwhile.
    """
    _, address = open_to_all
    head = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
    silent = [raw(address), raw(address, head), raw(address, head + b"\r\n"), raw(address, head + b"\r\n", head)]
    assert httpx.get(f"{address}/health/live").status_code == 200
    open_ones, until = list(silent), time.monotonic() + 40
    while open_ones and time.monotonic() < until:
        time.sleep(0.5)
        open_ones = [each for each in open_ones if not is_closed(each)]
    assert not open_ones


def is_closed(connected: socket.socket) -> bool:
    """Whether the other end has closed; a byte of a header is said to it first."""
    try:
        connected.sendall(b"X")
        connected.settimeout(0.01)
        return connected.recv(65_536) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.slow
def test_who_takes_nothing_of_a_large_answer_is_let_go():
    """Whole or a stream: neither its memory nor its place among the connections is held for ever."""
    text = "word " * 4_000_000
    with door(MemoryInside(bodies(text, text)), connections=1) as address:
        for stream in (b"true", b"false"):
            body = b'{"stream": ' + stream + b', "messages": [{"role": "user", "content": "x"}]}'
            head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            with raw(address, head.encode() + body) as taker:
                assert taker.recv(4) == b"HTTP"
                assert httpx.get(f"{address}/health/live").status_code == 503
                wait_until(lambda: httpx.get(f"{address}/health/live").status_code == 200, 180)


def test_many_connections_do_not_shut_others_out_for_good():
    """Above the bound they are turned away with 503, and far above it closed at once; after them it is as before."""
    with door(MemoryInside(bodies()), connections=2) as address:
        port = int(address.rpartition(":")[2])
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        time.sleep(0.2)
        refused = httpx.get(f"{address}/health/live")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert (refused.headers["connection"], refused.headers["retry-after"]) == ("close", "1")
        assert httpx.get(f"{address}/api/tags").json()["error"].startswith("2 connections")
        more = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        more[-1].settimeout(10)
        with suppress(ConnectionResetError):
            assert more[-1].recv(1) == b""
        for each in held + more:
            each.close()
        time.sleep(0.2)
        assert httpx.get(f"{address}/health/live").status_code == 200


# --- tokens ---


def test_tokens_name_their_askers():
    """One a line, in clear or hashed; whatever else is said is nobody's."""
    tokens = Tokens(TOKENS, "here")
    assert [tokens.name_of(each) for each in (TOKEN, OTHER, "", "x" * 99, TOKEN[:-1])] == [
        "kiosk",
        "panel",
        *[None] * 3,
    ]


@pytest.mark.parametrize("line", ["kiosk", "kiosk short", "a/b " + TOKEN, f"a {TOKEN} b", "a sha256:xy"])
def test_a_line_that_is_none_is_told_without_the_token(line):
    """By its number."""
    with pytest.raises(ConfigError, match="here, line 2") as raised:
        Tokens(f"\n{line}", "here")
    assert TOKEN not in str(raised.value)


def test_a_file_of_tokens(tmp_path: Path):
    """Beside those of the settings; one that everybody reads is refused, and so is one that names nobody."""
    path = tmp_path / "tokens"
    path.write_text(TOKENS)
    path.chmod(0o640)
    assert len(read_tokens(Settings(http={"token_file": path, "tokens": f"me {'x' * 16}"}).http)) == 3
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 640"):
        read_tokens(Settings(http={"token_file": path}).http)
    path.chmod(0o600)
    path.write_text("# nobody yet\n")
    with pytest.raises(ConfigError, match="names nobody"):
        read_tokens(Settings(http={"token_file": path}).http)


def test_with_tokens_nobody_else_is_let_in():
    """401 as OpenAI's client reads it; the name is the asker's; health is told to everybody, and little of it."""
    inside = MemoryInside(bodies())
    with door(inside, tokens=TOKENS) as address:
        for key in (TOKEN, OTHER):
            with OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0) as client:
                client.chat.completions.create(model="small", **ASK)
        assert [each.client for each in inside.asked] == ["http:kiosk", "http:panel"]
        with OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as raised:
                client.models.list()
            assert (raised.value.code, raised.value.response.headers["www-authenticate"]) == (
                "invalid_api_key",
                "Bearer",
            )
        for path in ("/v1/models", "/metrics", "/openapi.json", CHAT, "/nowhere"):
            assert httpx.get(address + path).status_code == 401
        assert [httpx.get(f"{address}/health{path}").status_code for path in ("", "/live", "/ready")] == [200] * 3


# --- places ---


def test_a_unix_socket(tmp_path: Path):
    """For whoever is on the board; what a dead daemon left is replaced, what is no socket is not."""
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    made = Http(Settings(http={"address": f"unix:{path}"}))
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    made.close()
    path.unlink()
    path.write_text("mine")
    with pytest.raises(ConfigError, match="cannot be listened on"):
        Http(Settings(http={"address": f"unix:{path}"}))
    assert path.read_text() == "mine"


def test_a_port_that_is_taken():
    """The start says so."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ConfigError, match=f"{port} cannot be listened on"):
        Http(Settings(http={"address": f"127.0.0.1:{port}"}))


def test_pieces_are_sent_at_once():
    """So asyncio does for a connection that says it is TCP, which it has of the socket that listens."""
    with listening("http.address", f"127.0.0.1:{free_port()}") as made:
        assert made.proto == socket.IPPROTO_TCP


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key and a certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=board -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return folder


def test_tls(certificate: Path):
    """Who trusts the certificate reads the answer; who does not, and who speaks in clear, gets none."""
    files = {"tls_certificate": certificate / "cert.pem", "tls_key": certificate / "key.pem"}
    with door(MemoryInside(bodies()), tokens=TOKENS, **files) as address:
        trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        said = httpx.post(address + CHAT, json=ASK, headers={"Authorization": f"Bearer {TOKEN}"}, verify=trusting)
        assert said.json()["choices"][0]["message"]["content"] == SAID
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{address}/health")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{address.replace('https', 'http')}/health")


def test_a_certificate_that_is_none(tmp_path: Path):
    """The start names the files."""
    (tmp_path / "cert.pem").write_text("nothing")
    files = {"tls_certificate": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    with pytest.raises(ConfigError, match=r"cert\.pem and .*key\.pem cannot be used"):
        tls_context(Settings(http={"address": "127.0.0.1:1", **files}).http)


# --- settings ---


@pytest.mark.parametrize(
    ("address", "is_own"),
    [
        *((own, True) for own in ("127.0.0.1:80", "[::1]:80", "localhost:80", "127.9.9.9:80", "unix:/run/x")),
        *((wide, False) for wide in ("0.0.0.0:80", "[::]:80", "192.168.0.9:80", "board.local:80")),
    ],
)
def test_beyond_this_board_it_is_refused_without_tokens_and_tls(address, is_own):
    """Each by itself is too little; a proxy must be said."""
    made = {"address": address}
    if is_own:
        assert Settings(http=made).http.address == address
        return
    for more in ({}, {"tokens": TOKENS}, {"behind_proxy": True}, {"tls_certificate": "/c", "tls_key": "/k"}):
        with pytest.raises(ValueError, match="can be reached from elsewhere"):
            Settings(http=made | more)
    assert Settings(http=made | {"tokens": TOKENS, "behind_proxy": True})
    assert Settings(http=made | {"token_file": "/t", "tls_certificate": "/c", "tls_key": "/k"})


@pytest.mark.parametrize(
    "address", ["", "80", "host", "host:", ":80", "host:99999", "unix:", "unix:x", "unix:/" + "x" * 99, "http://h:80"]
)
def test_an_address_that_is_none(address):
    """It is refused where it is written."""
    with pytest.raises(ValueError, match=r"neither HOST:PORT|whole path"):
        Settings(http={"address": address})
