"""The door itself: uvicorn within the daemon's loop, over a unix socket or a port, with TLS where it has a certificate.

This is the one file that imports uvicorn.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.config import Http as HttpSettings
from edge.config import Prometheus as PrometheusSettings
from edge.config import Settings
from edge.doors.http.app import app
from edge.doors.http.asking import House
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
        config = uvicorn.Config(
            app(house, self._tokens),
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # whoever sends what is no HTTP would else write a line each time
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=self._settings.connections + 1,
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
    """A connection that says nothing is let go, and there are not many more of them than are served."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * (self.limit_concurrency or 1):
            transport.abort()
            return
        self._head = self.loop.call_later(HEAD_SECONDS, self._silent)

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "_head"):
            self._head.cancel()
        super().connection_lost(exc)

    def _silent(self) -> None:
        if self.cycle is None:
            self.transport.abort()


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
