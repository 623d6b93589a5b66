"""A real web server on loopback that answers as it is told."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server(ThreadingHTTPServer):
    """Answers each path with what is scripted for it: status, headers, body; the last one for ever."""

    def __init__(self, script: dict[str, list[tuple[int, dict[str, str], bytes]]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.asked = script, []

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """As it is scripted; 404 else."""
        self.server.asked.append((self.path, dict(self.headers)))
        answers = self.server.script.get(self.path, [(404, {}, b"")])
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = "Content-Length" in headers  # it promised another length

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def server(certificate: Path | None = None, **script) -> Iterator[Server]:
    """A server of paths by their names; a body alone is status 200. certificate: with its key, for HTTPS."""
    whole = {
        f"/{name}": [each if isinstance(each, tuple) else (200, {}, each) for each in answers]
        for name, answers in script.items()
    }
    with Server(whole) as running:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


def served(folder: Path) -> AbstractContextManager[Server]:
    """Every file of a folder, as a web server has it."""
    files = {path.relative_to(folder).as_posix(): [path.read_bytes()] for path in folder.rglob("*") if path.is_file()}
    return server(**files)


@contextmanager
def endless(begin: bytes, more: bytes, goes_on: Callable[[], object] = lambda: None) -> Iterator[tuple[str, list[int]]]:
    """A server that never ends what it has begun: its address, and how many bytes it has sent after the beginning.

    goes_on: called before each of them, so that it may be slow.
    """
    sent = [0]

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(begin)
            while sent[0] < 1 << 30:
                goes_on()
                sent[0] += connection.send(more)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(listening.accept()[0],)).start()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", sent
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
