"""Prometheus: a file for node_exporter's textfile collector, and /metrics for who scrapes the board itself.

The text is the official client library's; this is the one file that imports it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from edge.config import Prometheus as PrometheusSettings
from edge.doors.listening import refused
from edge.doors.metrics import ROWS, Metric, samples
from edge.wire.asked import Inside
from edge.wire.message import Message

log = logging.getLogger(__name__)

READABLE = 0o644
"""node_exporter is another user."""
SILENT_SECONDS = 2
"""After which a scraper that says or takes nothing is let go."""


class Readings(Collector):
    """The last telemetry message, as the library wants metrics."""

    def __init__(self) -> None:
        self.body: Mapping[str, Any] = {}

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Every metric that has a value."""
        body = self.body
        for metric in ROWS:
            if found := samples(metric, body):
                yield _family(metric, found)


def _family(metric: Metric, found: list[tuple[tuple[str, ...], float]]) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in found:
        family.add_metric(labels, value)
    return family


class Prometheus:
    """The door. ConfigError where the address cannot be taken."""

    subscriptions: Sequence[str] = ()

    def __init__(self, settings: PrometheusSettings) -> None:
        self._textfile = settings.textfile
        self._readings, self._registry = Readings(), CollectorRegistry()
        self._registry.register(self._readings)
        self._server = listening(settings.host_and_port, self._registry) if settings.host_and_port else None
        self._news = asyncio.Event()
        self._is_refused = self._is_over = False
        self._writing = threading.Lock()

    @property
    def port(self) -> int | None:
        """Where /metrics is served; None where it is not."""
        return self._server.server_port if self._server else None

    def text(self) -> bytes:
        """The last readings in Prometheus's text format."""
        return generate_latest(self._registry)

    async def run(self, inside: Inside) -> None:  # noqa: ARG002 - the door's shape
        """Serve, and write the file after each reading, which a disk may take long over; at the end neither is left."""
        with _serving(self._server):
            try:
                while True:
                    await self._news.wait()
                    self._news.clear()
                    if self._textfile:
                        await asyncio.to_thread(self._write, self._textfile)
            finally:
                self._remove()

    def connected(self) -> None:
        """Nothing: who scrapes needs no broker."""

    def hear(self, message: Message) -> bool:  # noqa: ARG002 - the door's shape
        """Nothing."""
        return False

    def told(self, telemetry: Mapping[str, Any]) -> None:
        """The next readings."""
        self._readings.body = telemetry
        self._news.set()

    def _write(self, path: Path) -> None:
        """The file, whole or not at all, since the collector may read it at any moment; a refusal is said once."""
        try:
            with self._writing:
                if not self._is_over:
                    _replace(path, self.text())
            self._is_refused = False
        except OSError as error:
            if not self._is_refused:
                log.warning("prometheus.textfile: %s cannot be written: %s", path, error.strerror or error)
            self._is_refused = True

    def _remove(self) -> None:
        """The file, and not before one that is just being written is there."""
        with self._writing:
            self._is_over = True
            if self._textfile:
                with suppress(OSError):
                    self._textfile.unlink()


def _replace(path: Path, text: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(text)
    partial.chmod(READABLE)
    partial.replace(path)


class _Handler(WSGIRequestHandler):
    """One scrape; it is not logged."""

    timeout = SILENT_SECONDS

    def log_message(self, *_: object) -> None:
        """Nothing: there is one every few seconds."""


class _Server(WSGIServer):
    """One scraper at a time, so that many take no more of the board than one."""

    def server_bind(self) -> None:
        """Without asking a name server who we are, which the library's own does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's shape
        """A scraper that left is none of ours."""
        log.debug("a scrape ended early", exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


def listening(place: tuple[str, int], registry: CollectorRegistry) -> WSGIServer:
    """A server that has its port. ConfigError where it cannot have it."""
    host, port = place
    try:
        return make_server(host, port, make_wsgi_app(registry), _Server6 if ":" in host else _Server, _Handler)
    except (OSError, OverflowError) as error:
        raise refused("prometheus.address", f"[{host}]:{port}" if ":" in host else f"{host}:{port}", error) from error


@contextmanager
def _serving(server: WSGIServer | None) -> Iterator[None]:
    """A server's life, in a thread of its own. Its port is free soon after; nobody waits for a slow scraper."""
    if server is None:
        yield
        return
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield
    finally:
        threading.Thread(target=server.shutdown, name="metrics-end", daemon=True).start()  # it waits for who is served
        server.server_close()
