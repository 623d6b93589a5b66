"""A server that speaks OpenAI's chat API as a script has it, over real sockets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def chunk(text: str = "", finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """One as it is streamed."""
    choice = {"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion.chunk", "model": "big-2026", "choices": [choice]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}}
ANSWER = [chunk("Far "), chunk("away"), chunk(finish_reason="stop"), USAGE]


class Script:
    """What it does with each request. asked: bodies that came; keys: their Authorization; gone: streams cut off.

    status, words: of a refusal. pause_seconds: before each event. body: said whole, in place of events.
    """

    def __init__(self, events: Sequence[Any] = ANSWER) -> None:
        self.events, self.status, self.words = list(events), 200, b"{}"
        self.headers: dict[str, str] = {}
        self.pause_seconds, self.is_cut, self.ending = 0.0, False, b"\n\n"
        self.whole: Any = None
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.sizes: list[int] = []
        self.gone = threading.Event()
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    """Plays a script, which the server has."""

    protocol_version = "HTTP/1.1"

    @property
    def script(self) -> Script:
        """What is to be done."""
        return self.server.script

    def do_POST(self) -> None:
        """One request."""
        script, body = self.script, self.rfile.read(int(self.headers["Content-Length"]))
        script.asked.append(json.loads(body))
        script.sizes.append(len(body))
        script.keys.append(self.headers.get("Authorization"))
        if script.status != 200:
            self.whole(script.status, script.words)
        elif script.whole is not None:
            self.whole(200, json.dumps(script.whole).encode())
        else:
            self.stream()

    def whole(self, status: int, words: bytes) -> None:
        """All at once."""
        self.send_response(status)
        for name, value in {**self.script.headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        self.wfile.write(words)

    def stream(self) -> None:
        """Event by event."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for event in self.script.events:
                time.sleep(self.script.pause_seconds)
                said = event if isinstance(event, bytes) else json.dumps(event).encode()
                self.wfile.write(b"data: " + said + self.script.ending)
            if not self.script.is_cut:
                self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.script.gone.set()

    def log_message(self, *_arguments: Any) -> None:
        """Nothing."""


@contextmanager
def serving(script: Script) -> Iterator[Script]:
    """The server, for the length of the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.script = True, script
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        script.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield script
        finally:
            server.shutdown()
