"""The door itself: uvicorn within the daemon's loop, over a unix socket or a port, with TLS where it has a certificate.

This is the one file that imports uvicorn.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.config import Http as HttpSettings
from edge.config import Prometheus as PrometheusSettings
from edge.config import Settings
from edge.doors.http.app import app
from edge.doors.http.asking import House
from edge.doors.http.entrance import TAKEN_SECONDS, Full, NotTaken
from edge.doors.http.errors import Refused
from edge.doors.http.tokens import read_tokens
from edge.doors.listening import listening
from edge.doors.prometheus import Prometheus
from edge.errors import ConfigError
from edge.wire.asked import Inside
from edge.wire.message import Message

log = logging.getLogger(__name__)

HEAD_SECONDS = 10
"""In which a new connection must have said what it wants, and after an answer the next."""
HEAD_BYTES = 16_384
CREDENTIALS = struct.Struct("3i")
"""Process, user and group at a unix socket's other end."""
END_SECONDS = 3
"""For who is still being told the end of an answer; what ran has had limits.stop_seconds by then."""


class Http:
    """The door. ConfigError where its address cannot be had, or a token, a certificate or a key cannot be used."""

    subscriptions: Sequence[str] = ()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.http
        self._tokens, self._tls = read_tokens(settings.http), tls_context(settings.http)
        self._readings = Prometheus(PrometheusSettings())
        self._socket = listening("http.address", settings.http.address or "")

    async def run(self, inside: Inside) -> None:
        """Serve until the daemon ends; who is being answered then has been waited for."""
        house = House(inside, self._settings, self._readings.text, int(time.time()))
        server = _Server(self._config(house))
        serving = asyncio.create_task(server.serve([self._socket]))
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await serving
            if path := self._settings.socket_path:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the address back, of a door that is not to live."""
        self._socket.close()

    def _config(self, house: House) -> uvicorn.Config:
        most = self._settings.connections
        config = uvicorn.Config(
            app(house, self._tokens),
            http=partial(_Protocol, connections=most, full=Full(most)),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # whoever sends what is no HTTP would else write a line each time
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=HEAD_SECONDS,
            timeout_graceful_shutdown=END_SECONDS,
            h11_max_incomplete_event_size=HEAD_BYTES,
        )
        config.load()
        config.ssl = self._tls
        return config

    def connected(self) -> None:
        """Nothing: who asks here needs no broker."""

    def hear(self, message: Message) -> bool:  # noqa: ARG002 - the door's shape
        """Nothing."""
        return False

    def told(self, telemetry: Mapping[str, Any]) -> None:
        """The next readings, for /metrics."""
        self._readings.told(telemetry)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: they are the daemon's."""
        yield


class _Protocol(H11Protocol):
    """A connection. There are not many more of them than are served; who says or takes nothing is let go.

    connections: how many are served at once; who comes beyond is told so by `full`.
    """

    def __init__(self, *arguments: Any, connections: int, full: ASGIApp, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._most, self._full, self._open = connections, full, self.app
        self.app = self._answered
        self._looks: asyncio.TimerHandle | None = None
        self._untaken = 0
        self._uid: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * (self._most + 1):
            transport.abort()
            return
        self._uid = uid_of(transport.get_extra_info("socket"))
        self._look_in(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looks is not None:
            self._looks.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._untaken = 0
        self._look_in(HEAD_SECONDS)

    async def _answered(self, scope: Any, receive: Any, send: Any) -> None:
        """One request. Where nobody takes the answer, nothing of it is kept for them."""
        scope["uid"] = self._uid
        try:
            await (self._full if len(self.connections) > self._most else self._open)(scope, receive, send)
        except NotTaken:
            self.transport.abort()
            await asyncio.sleep(0)  # the connection is lost then, and uvicorn knows

    def _look_in(self, seconds: float) -> None:
        if self._looks is not None:
            self._looks.cancel()
        self._looks = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """End the connection where no head of a request has come whole, and nothing more of an answer was taken."""
        if self.cycle is not None and not self.cycle.response_complete:
            return
        before, self._untaken = self._untaken, self.transport.get_write_buffer_size()
        if self._untaken in (0, before):
            self.transport.abort()
        else:
            self._look_in(TAKEN_SECONDS)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's shape
        """What is no HTTP is told so as everything is; uvicorn calls this within the handling of h11's error."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # in the middle of an answer there is no place for another
            return
        is_long = getattr(sys.exception(), "error_status_hint", 400) == 431
        text = f"the head of a request may have {HEAD_BYTES} bytes" if is_long else "this is no HTTP request"
        told = Refused(431 if is_long else 400, text)
        body = json.dumps(told.body()).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        head = h11.Response(status_code=told.shape.status, headers=headers)
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def uid_of(connected: Any) -> int | None:
    """Whose process is at the other end of a unix socket (unix(7)); None for any other socket."""
    if connected is None or connected.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    said = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(said)[1])


def tls_context(settings: HttpSettings) -> ssl.SSLContext | None:
    """With our certificate, TLS 1.2 and later; None where there is none."""
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        files = f"{settings.tls_certificate} and {settings.tls_key}"
        raise ConfigError(f"http.tls_certificate: {files} cannot be used: {error.strerror or error}") from error
    return context
