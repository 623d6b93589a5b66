"""Files over HTTP, beside the WebSocket on its port: a page for a browser, and documents for the page to show.

One request a connection. The disk is waited for in threads, and a file goes out in pieces as the browser takes them, so
that neither a slow disk nor a slow browser holds up MQTT or fills memory.
Source: RFC 9110 (HTTP), Content Security Policy Level 3, the Fetch standard (Cross-Origin-Resource-Policy).
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import gzip
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from edge.mqtt.broker.folders import Folders, Opened, Route, Unserved
from edge.mqtt.broker.limits import Limits
from edge.mqtt.broker.origins import Origins
from edge.mqtt.broker.telling import Telling, shown, where

Result = TypeVar("Result")

THREADS = 4
"""Files that the disk is asked for at once."""
WAITING_MAX = 128
"""Requests that may wait for disks; where one does not answer, who asked may be gone long before."""
CHUNK_BYTES = 1 << 17
PACKED_BYTES_MAX, PACKED_FILE_BYTES_MAX = 8 << 20, 2 << 20
"""What is kept compressed of all files, and how large one may be that is compressed."""
TEXTS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "md": "text/plain; charset=utf-8",  # browsers show it, and offer text/markdown to be kept
    "svg": "image/svg+xml; charset=utf-8",
}
KINDS = {
    **TEXTS,
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "woff2": "font/woff2",
}
UNKNOWN = "application/octet-stream"
RUN = {"js", "css"}
"""What a page would run; among documents it is text, so that the page's own rules let none of it in."""

PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self';"
    " connect-src 'self' ws: wss:; media-src blob:; frame-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'self'"
)
DOCUMENT = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'self'"
)
NOTHING = "default-src 'none'; frame-ancestors 'none'"
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=(), serial=()",
    "Cache-Control": "no-cache",
}


@dataclass
class Body:
    """What is handed out: a file's bytes as they are, or compressed.

    size: in bytes, of what is sent.
    """

    opened: Opened
    size: int
    packed: bytes | None = None


class Pages:
    """Answers requests that open no WebSocket."""

    def __init__(self, folders: Folders, origins: Origins, limits: Limits, telling: Telling) -> None:
        self._folders, self._origins, self._limits, self._telling = folders, origins, limits, telling
        self._threads = ThreadPoolExecutor(THREADS, "pages")
        self._packed: OrderedDict[str, bytes] = OrderedDict()
        self._waiting = 0

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def answer(self, made: Any, request: Any) -> Any:
        """The answer that is left to send: words, or none of a file that was asked for whole.

        made: the WebSocket library's connection. A file is sent here, and the connection has ended then.
        """
        self._waiting += 1
        try:
            if self._waiting > WAITING_MAX:
                raise Unserved(503, "The disk does not answer.")
            return await self._answered(made, request)
        except Unserved as reason:
            extra = {"Location": reason.location} if reason.location else {}
            return _respond(made, request, reason.status, f"{reason}\n", extra)
        except Exception as error:
            self._telling.line("faults", f"a fault of ours, {where(error)}", logging.ERROR)
            return _respond(made, request, 500, "The broker failed; its log says why.\n")
        finally:
            self._waiting -= 1

    async def _answered(self, made: Any, request: Any) -> Any:
        await self._check(request)
        routes, names = self._folders.find(request.path)
        opened = await self._opened(routes, names, request.path)
        try:
            headers = _headers(routes[0], names[-1])
            limit = self._limits.document_bytes if routes[0].is_of_documents else self._limits.page_bytes
            if opened.size > limit:
                raise Unserved(403, f"The file has {opened.size} bytes; up to {limit} are handed out.")
            is_packed = _describe(opened, headers, request)
            if _is_known(request, headers["ETag"]):
                return _respond(made, request, 304, "", headers)
            packed = await self._compressed(opened) if is_packed else None
            body = Body(opened, opened.size if packed is None else len(packed), packed)
            if _method(request) == "HEAD":
                return _respond(made, request, 200, "", {**headers, "Content-Length": str(body.size)})
            await self._send(made, headers, body)
            return made.respond(500, "")  # which nobody is sent: the connection has ended
        finally:
            self._threads.submit(opened.close)

    async def _check(self, request: Any) -> None:
        """Unserved where the method or the host that was asked for is none of ours."""
        if _method(request) not in ("GET", "HEAD"):
            raise Unserved(405, "Files are read alone: GET or HEAD.")
        hosts = request.headers.get_all("Host")
        if len(hosts) != 1:
            raise Unserved(400, "A request names one host.")
        if not await self._in_thread(lambda: self._origins.serves(hosts[0])):
            text = f"refused a page: it was asked for as host {shown(hosts[0])} (see --origin)"
            self._telling.line("refused", text, logging.WARNING)
            raise Unserved(421, "The name in the address is not this machine's (see --origin).")

    async def _opened(self, routes: list[Route], names: list[str], path: str) -> Opened:
        try:
            return await self._in_thread(lambda: self._folders.open(routes, names))
        except OSError as error:
            text = f"{shown(path)} cannot be read: {error.strerror or error}"
            self._telling.line("pages", text, logging.WARNING)
            raise Unserved(500, "The file cannot be read; the broker's log says why.") from error

    async def _compressed(self, opened: Opened) -> bytes:
        """A whole file, compressed once; those that nobody asked for lately are forgotten."""
        packed = self._packed.pop(opened.tag, None)
        if packed is None:
            packed = await self._read(lambda: gzip.compress(opened.read(0, opened.size), mtime=0))
        self._packed[opened.tag] = packed
        while sum(map(len, self._packed.values())) > PACKED_BYTES_MAX:
            self._packed.popitem(last=False)
        return packed

    async def _read(self, work: Callable[[], bytes]) -> bytes:
        try:
            return await self._in_thread(work)
        except OSError as error:
            raise Unserved(503, "The file is being changed; ask again.") from error

    async def _send(self, made: Any, headers: Mapping[str, str], body: Body) -> None:
        """Head and body, and the connection's end.

        It comes before all is sent where the file changes meanwhile, where the browser takes it too slowly, or where
        that says more than its request.
        """
        transport = made.transport
        transport.pause_reading()  # one request a connection
        head = {"Date": email.utils.formatdate(usegmt=True), **headers}
        head |= {"Content-Length": str(body.size), "Connection": "close"}
        lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        try:
            with contextlib.suppress(OSError, RuntimeError):  # lost, out of time; its end was sent already
                async with asyncio.timeout(self._limits.page_seconds):
                    transport.write("\r\n".join(lines).encode("latin-1"))
                    await self._send_pieces(made, body)
                    transport.close()
                    await made.wait_closed()
        finally:
            transport.abort()
            await made.wait_closed()

    async def _send_pieces(self, made: Any, body: Body) -> None:
        for start in range(0, body.size, CHUNK_BYTES):
            if made.transport.is_closing():
                return
            made.transport.write(await self._piece(body, start, min(CHUNK_BYTES, body.size - start)))
            await made.drain()

    async def _piece(self, body: Body, start: int, count: int) -> bytes:
        """OSError where the file has none, which is told."""
        if body.packed is not None:
            return body.packed[start : start + count]
        try:
            return await self._in_thread(partial(body.opened.read, start, count))
        except OSError as error:
            self._telling.line("pages", f"a file was not handed out whole: {error}", logging.WARNING)
            raise

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _method(request: Any) -> str:
    """How it was asked: the library's older versions know GET alone, and do not say so."""
    return str(getattr(request, "method", "GET"))


def _headers(route: Route, name: str) -> dict[str, str]:
    """What a browser is told of a file."""
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    kind = KINDS.get({"htm": "html", "jpeg": "jpg"}.get(suffix, suffix), UNKNOWN)
    if not route.is_of_documents:
        rules = {"Content-Security-Policy": PAGE, "Cross-Origin-Resource-Policy": "same-origin"}
    else:
        kind = TEXTS["txt"] if suffix in RUN else kind
        rules = {"Content-Security-Policy": DOCUMENT}
    return {"Content-Type": kind, **ALWAYS, **rules}


def _describe(opened: Opened, headers: dict[str, str], request: Any) -> bool:
    """Whether it is sent compressed; adds to the headers what depends on that."""
    headers["ETag"] = f'"{opened.tag}"'
    if headers["Content-Type"] not in TEXTS.values():
        return False
    headers["Vary"] = "Accept-Encoding"
    if opened.size > PACKED_FILE_BYTES_MAX or not _takes_gzip(request):
        return False
    headers["Content-Encoding"], headers["ETag"] = "gzip", f'"{opened.tag}-gzip"'
    return True


def _takes_gzip(request: Any) -> bool:
    wanted = [each.strip().lower() for line in request.headers.get_all("Accept-Encoding") for each in line.split(",")]
    return any(each.partition(";")[0].strip() == "gzip" and not each.endswith(("q=0", "q=0.0")) for each in wanted)


def _is_known(request: Any, tag: str) -> bool:
    """Whether the client has these contents already."""
    named = [each.strip() for line in request.headers.get_all("If-None-Match") for each in line.split(",")]
    return any(each == "*" or each.removeprefix("W/") == tag for each in named)


def _respond(made: Any, request: Any, status: int, text: str, extra: Mapping[str, str] | None = None) -> Any:
    """An answer in words, or of a head alone."""
    response = made.respond(status, text)
    allow = {"Allow": "GET, HEAD"} if status == 405 else {}
    for name, value in {**ALWAYS, "Content-Security-Policy": NOTHING, **allow, **(extra or {})}.items():
        if name in response.headers:
            del response.headers[name]
        response.headers[name] = value
    if _method(request) == "HEAD" or status == 304:
        response.body = b""
    if status == 304:
        del response.headers["Content-Length"]
    return response
