"""A model hub on loopback, as much of one as its client asks for; it can break off, and lie."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "maker/small"


class Hub(ThreadingHTTPServer):
    """Serves one folder as one repository at one commit.

    break_after: bytes after which the first answer with a larger safetensors file ends. lies: bytes sent in its place.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.break_after: int | None = None
        self.lies: bytes | None = None
        self.asked: list[tuple[str, str, str | None]] = []

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT should say."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """The calls of huggingface_hub's snapshot download."""

    server: Hub

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_HEAD(self) -> None:
        """A file's size and checksum."""
        self._answer(send=False)

    def do_GET(self) -> None:
        """A file, or what is known of the repository."""
        self._answer(send=True)

    def _answer(self, send: bool) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        if self.path.startswith(f"/api/models/{NAME}/tree/{COMMIT}"):
            self._json([{"type": "file", **self._entry(path), "oid": "0"} for path in self._files()])
        elif self.path.startswith(f"/api/models/{NAME}/revision/{COMMIT}"):
            entries = [{**self._entry(path), "rfilename": path.name} for path in self._files()]
            self._json({"id": NAME, "sha": COMMIT, "siblings": entries})
        elif match := re.fullmatch(f"/{NAME}/resolve/{COMMIT}/(.+)", self.path):
            self._file(self.server.folder / match[1], send)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RevisionNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _files(self) -> Iterator[Path]:
        yield from sorted(self.server.folder.iterdir())

    @staticmethod
    def _entry(path: Path) -> dict[str, object]:
        entry: dict[str, object] = {"path": path.name, "size": path.stat().st_size}
        if path.suffix == ".safetensors":
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            entry["lfs"] = {"sha256": digest, "oid": digest, "size": path.stat().st_size, "pointerSize": 134}
        return entry

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, path: Path, send: bool) -> None:
        body = path.read_bytes()
        large = path.suffix == ".safetensors"
        if large and self.server.lies is not None:
            body = self.server.lies[: len(body)].ljust(len(body), b"\0")
        start = int(match[1]) if (match := re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")) else 0
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if not send:
            return
        if large and len(body) > (self.server.break_after or len(body)):
            self.wfile.write(body[start : self.server.break_after])
            self.server.break_after = None
            self.close_connection = True
        else:
            self.wfile.write(body[start:])


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    """The hub, in a thread of its own."""
    with Hub(folder) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()
