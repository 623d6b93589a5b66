"""Bytes of a repository over a real server on loopback and from a folder: bounded, asked for again, of one host."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from edge.errors import BundleError
from edge.store.fetch import Folder, Missing, TooLong, Web
from tests.edge.store.serving import Server, endless, server


def web(running: Server) -> Web:
    """Who asks it, without long pauses."""
    return Web(running.address, pauses_seconds=(0.01, 0.01))


def test_a_file_is_read():
    """With our name in the request, and nothing packed."""
    with server(file=[b"bytes"]) as running:
        assert web(running).read("file", 5) == b"bytes"
        [(_, headers)] = running.asked
    assert headers["User-Agent"].startswith("edge-slm/")
    assert headers["Accept-Encoding"] == "identity"


def test_a_server_below_a_path():
    """The repository need not be at a server's top."""
    with server(**{"of/edge/file": [b"bytes"]}) as running:
        assert Web(f"{running.address}/of/edge/").read("file", 5) == b"bytes"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_is_not_there(status):
    """Is told apart, since the newest root is found by the one that is not there."""
    with server(file=[(status, {}, b"no")]) as running, pytest.raises(Missing, match=str(status)):
        web(running).read("file", 5)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "3"}, {"Transfer-Encoding": "chunked"}])
def test_more_than_the_bound_is_not_taken(headers):
    """However a server tells the length, or lies about it."""
    body = b"6\r\nsix by\r\n" * 3 + b"0\r\n\r\n" if "Transfer-Encoding" in headers else b"six by"
    with server(file=[(200, headers, body)]) as running:
        if headers.get("Content-Length") == "3":
            assert web(running).read("file", 5) == b"six"  # the rest belongs to no answer
        else:
            with pytest.raises(TooLong, match="more than the 5 bytes"):
                web(running).read("file", 5)


def test_an_answer_that_is_cut_off_is_asked_for_again():
    """A connection that ends early says nothing of the file."""
    with server(file=[(200, {"Content-Length": "100"}, b"by"), (503, {}, b""), b"bytes"]) as running:
        assert web(running).read("file", 5) == b"bytes"
        assert len(running.asked) == 3


def test_a_server_that_is_in_trouble():
    """It is asked three times; then it may pass."""
    with server(file=[(503, {}, b"")]) as running, pytest.raises(BundleError, match="HTTP status 503") as raised:
        web(running).read("file", 5)
    assert raised.value.exit_status == 75
    assert len(running.asked) == 3


def test_no_server():
    """Nobody listens: it may pass, and the words say what is the matter."""
    with pytest.raises(BundleError, match=r"cannot be reached now .*refused") as raised:
        Web("http://127.0.0.1:9", pauses_seconds=()).read("file", 5)
    assert raised.value.exit_status == 75


def test_a_refusal_lasts():
    """A server that wants a password is not asked again."""
    with server(file=[(401, {}, b"")]) as running, pytest.raises(BundleError, match="401") as raised:
        web(running).read("file", 5)
    assert raised.value.exit_status == 65
    assert len(running.asked) == 1


def test_a_redirect_on_the_same_host_is_followed():
    """To another path."""
    with server(file=[(302, {"Location": "/other"}, b"")], other=[b"bytes"]) as running:
        assert web(running).read("file", 5) == b"bytes"


def test_a_redirect_to_another_host_is_not():
    """That one hears nothing of us."""
    with server(file=[b"bytes"]) as other, server(file=[(302, {"Location": f"{other.address}/file"}, b"")]) as running:
        with pytest.raises(BundleError, match="leads to another host"):
            web(running).read("file", 5)
        assert other.asked == []


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Location": "http://["}, b""),
        ({"Location": "//[x]/file"}, b""),
        ({"Transfer-Encoding": "chunked"}, b"-5\r\nbytes\r\n"),
    ],
)
def test_what_makes_no_sense_is_said(headers, body):
    """No answer of a server ends the installer without a word."""
    status = 302 if "Location" in headers else 200
    with (
        server(file=[(status, headers, body)]) as running,
        pytest.raises(BundleError, match="cannot be reached now") as raised,
    ):
        web(running).read("file", 5)
    assert raised.value.exit_status == 75


def test_redirects_in_a_circle():
    """They end."""
    with server(file=[(302, {"Location": "/file"}, b"")]) as running:
        with pytest.raises(BundleError, match="cannot be reached"):
            web(running).read("file", 5)
        assert len(running.asked) < 20


@pytest.mark.parametrize("status", ["302 Found\r\nLocation: /file", "503 Later\r\nRetry-After: 1", "404 None"])
def test_what_is_no_file_is_not_read(status):
    """A redirect, or a server's trouble, may go on for ever: nothing of it but the headers is waited for."""
    begin = f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with endless(begin, b"10000\r\n" + b"x" * 65536 + b"\r\n") as (address, sent):
        with pytest.raises(BundleError):
            Web(address, pauses_seconds=()).read("file", 5)
        assert sent[0] < 64 << 20  # no more than fits between the two


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_an_answer_that_drips_is_given_up(begin, more):
    """Each byte comes in time, so that only the time of the whole tells; wherever in the answer it is."""
    with (
        endless(begin, more, goes_on=lambda: time.sleep(0.01)) as (address, _),
        pytest.raises(BundleError, match="not all of the answer has come") as raised,
    ):
        Web(address, pauses_seconds=(), first_seconds=0.3).read("file", 1000)
    assert raised.value.exit_status == 75


def test_no_proxy_of_the_environment(monkeypatch):
    """Where a variable names one, it is not asked: the operator did not set it for us."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with server(file=[b"bytes"]) as running:
        assert web(running).read("file", 5) == b"bytes"


def test_https(tmp_path, monkeypatch):
    """A server's certificate must lead to an authority that the system knows; `SSL_CERT_FILE` names another."""
    certificate = tmp_path / "server.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*make, "-keyout", certificate, "-out", tmp_path / "authority.pem"], check=True, capture_output=True)
    certificate.write_text(certificate.read_text() + (tmp_path / "authority.pem").read_text())
    with server(certificate, file=[b"bytes"]) as running:
        address = running.address.replace("http:", "https:")
        with pytest.raises(BundleError, match="certificate verify failed"):
            Web(address, pauses_seconds=()).read("file", 5)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert Web(address, pauses_seconds=()).read("file", 5) == b"bytes"


def test_a_folder(tmp_path):
    """Its files, bounded; a name is percent-encoded as in an address."""
    (tmp_path / "a b").write_bytes(b"bytes")
    folder = Folder(tmp_path)
    assert folder.read("a%20b", 5) == b"bytes"
    with pytest.raises(TooLong):
        folder.read("a%20b", 4)
    for name in ("none", "a%20b/none", "."):
        with pytest.raises(Missing):
            folder.read(name, 5)


def test_what_never_ends_in_a_folder(tmp_path):
    """A FIFO is not waited for, a device not read."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("fifo", "zero"):
        with pytest.raises(BundleError, match="is not a regular file"):
            Folder(tmp_path).read(name, 5)


def test_an_address_that_is_none():
    """It is named with its setting."""
    with pytest.raises(BundleError, match=r"store\.repository"):
        Web("http://[::1").read("file", 5)
