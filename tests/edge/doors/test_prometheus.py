"""Readings as Prometheus has them: names, units, nothing for what is not known; the file, and /metrics."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import re
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
from prometheus_client.parser import text_string_to_metric_families as parsed
from prometheus_client.registry import CollectorRegistry

from edge.config import Prometheus as Settings
from edge.doors.metrics import ROWS, SAMPLES_MAX, samples
from edge.doors.prometheus import SILENT_SECONDS, Prometheus, Readings
from edge.errors import ConfigError
from edge.testing.inside import MemoryInside
from edge.wire.telemetry import Telemetry
from tests.conftest import free_port, wait_until
from tests.edge.doors.bodies import BARE, BODIES, JETSON, PHONE, PI

each_body = pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
NOT_BASE = re.compile(r"_(percent|mib|gib|mb|kb|mhz|ghz|milliseconds|ms|minutes|hours|fahrenheit|millivolts)(_|$)")
"""What promtool's linter warns of (prometheus/prometheus, util/promlint)."""


def values(body: dict[str, Any]) -> dict[str, float]:
    """Every sample of a message, by its name and labels, as the text format's own parser reads it back."""
    door = Prometheus(Settings())
    door.told(body)
    return {
        f"{sample.name}{dict(sample.labels) or ''}": sample.value
        for family in parsed(door.text().decode())
        for sample in family.samples
    }


@each_body
def test_the_text_is_read_back_by_both_parsers(body):
    """Prometheus's own format, and OpenMetrics', which is stricter about names and types."""
    registry, readings = CollectorRegistry(), Readings()
    registry.register(readings)
    readings.body = body
    families = list(strict(openmetrics(registry).decode()))
    assert {sample.name for family in families for sample in family.samples} <= {metric.name for metric in ROWS}
    assert len(values(body)) > 20


def test_names_are_as_prometheus_wants_them():
    """One namespace, base units, `_total` for counters and for nothing else, words for each, no name twice."""
    names = [metric.name for metric in ROWS]
    assert len(set(names)) == len(names)
    for metric in ROWS:
        assert re.fullmatch(r"edge_[a-z0-9_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.name.endswith("_info") == metric.is_info, metric.name
        assert not NOT_BASE.search(metric.name), metric.name
        assert not metric.name.endswith(("_count", "_sum", "_bucket")), metric.name
        assert metric.meaning.strip()
        assert "*" not in metric.path or len(metric.labels) == metric.path.count("*"), metric.name


def test_values_are_in_base_units():
    """Ratios from 0 to 1, hertz, bytes; a flag is 0 or 1; a state is 1 and the others 0."""
    found = values(PI)
    assert found["edge_temperature_celsius{'zone': 'cpu-thermal'}"] == 71.3
    assert found["edge_cpu_used_ratio"] == 0.664
    assert found["edge_core_frequency_hertz{'core': '0'}"] == 1.8e9
    assert found["edge_memory_size_bytes"] == 8442986496
    assert found["edge_throttling{'reason': 'throttled'}"] == 1
    assert found["edge_throttling{'reason': 'under_voltage'}"] == 0
    assert found["edge_governor_state{'state': 'slowed'}"] == 1
    assert found["edge_governor_state{'state': 'free'}"] == 0
    assert found["edge_governor_memory{'rung': 'short only'}"] == 1
    assert found["edge_requests_total{'code': '429'}"] == 1
    assert found["edge_board_info{'kind': 'raspberry-pi-5', 'model': 'Raspberry Pi 5 Model B Rev 1.0'}"] == 1
    assert found["edge_power_info{'mode': '', 'scope': 'SoC rails'}"] == 1
    assert found["edge_rail_watts{'rail': 'VDD_CORE'}"] == 2.728
    assert found["edge_reading_age_seconds{'source': 'power'}"] == 0.4
    assert found["edge_source_errors_total{'source': 'thermal'}"] == 2
    assert found["edge_pressure_some_ratio{'resource': 'cpu'}"] == 0.12
    assert values(PHONE)["edge_battery_amperes"] == -0.42
    assert values(JETSON)["edge_gpu_used_ratio{'gpu': '17000000.gpu'}"] == 0.982


def test_what_is_not_known_is_left_out():
    """No zero, no NaN, for null and for what is missing."""
    found = values(PI)
    for name in ("edge_zram_used_bytes", "edge_core_throttles_total", "edge_governor_threads"):
        assert not any(each.startswith(name) for each in found), name
    assert "edge_core_used_ratio{'core': '1'}" not in found
    assert "edge_sensor_celsius{'sensor': 'nvme Composite'}" not in found
    assert "edge_throttling_since_start{'reason': 'under_voltage'}" not in found
    assert not any(each.startswith("edge_temperature") for each in values(BARE))
    assert values({}) == {}
    assert values({"thermal": None, "cpu": 5, "governor": [], "errors": "x"}) == {}


def test_every_number_of_the_contract_has_a_metric():
    """All that a message can hold, but for trips, the number of cores, words, and what is said twice."""
    told_otherwise = {("thermal", "trips"), ("cpu", "cores"), ("memory", "pressure_percent"), ("governor", "reason")}
    told_otherwise |= {("throttling", "told_by"), ("battery", "status")}
    paths = (
        {metric.path[:2] for metric in ROWS}
        | {("processes", "daemon"), ("processes", "engine")}
        | {("power", "scope"), ("power", "mode")}
    )
    paths |= {("board", "model"), ("board", "kind")}
    paths |= {("bundle", each) for each in ("name", "version", "digest", "state")}
    told_otherwise.add(("bundle", "reason"))
    for section, field in Telemetry.model_fields.items():
        model = next((each for each in getattr(field.annotation, "__args__", (field.annotation,)) if each), None)
        for key in getattr(model, "model_fields", {}):
            known = {(section, key), (section, "*")} & (paths | told_otherwise) or key == "age_seconds"
            assert known, (section, key)


def test_half_a_character_in_a_name_does_no_harm():
    """The kernel promises no encoding; UTF-8 has no place for a lone surrogate."""
    assert values({"thermal": {"zones_celsius": {"cpu\udcff": 40.0}}}) == {
        "edge_temperature_celsius{'zone': 'cpu?'}": 40
    }


def test_a_metric_has_so_many_samples_at_most():
    """However many sensors a broken board makes up."""
    many = {"thermal": {"zones_celsius": {f"zone{number}": 1.0 for number in range(5000)}}}
    assert max(len(samples(metric, many)) for metric in ROWS) == SAMPLES_MAX


# --- out of the door ---


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Prometheus]:
    """A door within a daemon's life."""
    door = Prometheus(settings)
    running = asyncio.create_task(door.run(MemoryInside()))
    await asyncio.sleep(0)
    try:
        yield door
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(met: Any) -> None:
    """Return once it is so."""
    async with asyncio.timeout(5):
        while not met():
            await asyncio.sleep(0.005)


def test_the_file_is_whole_readable_and_goes_with_the_daemon(tmp_path):
    """Replaced in one step; node_exporter, another user, may read it; stale readings are not left behind."""
    path = tmp_path / "edge.prom"

    async def scene() -> None:
        before = os.umask(0o077)
        try:
            async with opened(Settings(textfile=path)) as door:
                door.told(PI)
                await until(path.exists)
                assert stat.S_IMODE(path.stat().st_mode) == 0o644
                first = path.stat().st_ino
                assert "edge_requests_waiting 2.0" in path.read_text()
                door.told(PI | {"inference": PI["inference"] | {"queue_length": 7}})
                await until(lambda: "edge_requests_waiting 7.0" in path.read_text())
                assert path.stat().st_ino != first
                assert [each.name for each in tmp_path.iterdir()] == ["edge.prom"]
        finally:
            os.umask(before)

    asyncio.run(scene())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_told_once(tmp_path, caplog):
    """And the door stays open: the folder may come."""
    path = tmp_path / "not there" / "edge.prom"

    async def scene() -> None:
        async with opened(Settings(textfile=path)) as door:
            for _ in range(3):
                door.told(PI)
                await asyncio.sleep(0.05)
            path.parent.mkdir()
            door.told(PI)
            await until(path.exists)

    asyncio.run(scene())
    assert caplog.text.count("cannot be written") == 1
    assert str(path) in caplog.text


def fetched(port: int, path: str = "/metrics") -> tuple[int, str, str]:
    """Status, content type and text of one GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.headers["Content-Type"], response.read().decode()


def test_metrics_are_served_where_it_was_said_and_not_afterwards():
    """In Prometheus's text, the last readings; strangers that talk nonsense do not keep it from answering."""
    port = free_port()

    async def scene() -> None:
        async with opened(Settings(address=f"127.0.0.1:{port}")) as door:
            assert door.port == port
            door.told(PI)
            for nonsense in (b"\x16\x03\x01\x02\x00", b"GET " + b"a" * 70_000 + b"\r\n\r\n", b"\r\n"):
                with socket.create_connection(("127.0.0.1", port)) as stranger:
                    stranger.sendall(nonsense)
            silent = socket.create_connection(("127.0.0.1", port))
            status, content_type, text = await asyncio.to_thread(fetched, port)
            assert status == 200
            assert content_type.startswith("text/plain; version=")
            assert 'edge_temperature_celsius{zone="cpu-thermal"} 71.3' in text
            assert "python_info" not in text
            silent.close()

    asyncio.run(scene())
    wait_until(lambda: is_free(port), 5)


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_scraper_that_drips_does_not_hold_up_the_end(tmp_path):
    """The daemon goes when it is told to, whoever is being served; nothing of the file comes back after that."""
    port = free_port()

    async def scene() -> None:
        async with opened(Settings(address=f"127.0.0.1:{port}", textfile=tmp_path / "edge.prom")) as door:
            dripping = socket.create_connection(("127.0.0.1", port))
            dripping.sendall(b"GET /")
            await asyncio.sleep(0.1)
            for _ in range(100):
                door.told(PI)
                await asyncio.sleep(0)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < SILENT_SECONDS / 2
        dripping.close()

    asyncio.run(scene())
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_nobody_knows_is_a_setting_to_correct():
    """The resolver's own reason, not a number of an error that no system has."""
    with pytest.raises(ConfigError, match=r"no\.invalid:9464 cannot be listened on: (?!Unknown error)\w+ "):
        Prometheus(Settings(address="no.invalid:9464"))


def test_a_port_that_is_taken_is_a_setting_to_correct():
    """The start ends with the setting's name and the reason."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match=r"prometheus\.address: 127\.0\.0\.1:\d+ cannot be listened on: Address"):
            Prometheus(Settings(address=f"127.0.0.1:{other.getsockname()[1]}"))


@pytest.mark.parametrize("address", ["9464", "localhost", "http://x:1", "a b:1", "::1:9464", ":9464", "x:123456"])
def test_an_address_is_a_host_and_a_port(address):
    """All else is refused before anything listens."""
    with pytest.raises(ValueError, match="HOST:PORT"):
        Settings(address=address)


@pytest.mark.parametrize("textfile", ["edge.prom", "/tmp/edge.txt"])
def test_a_textfile_is_one_that_is_collected(textfile):
    """node_exporter passes others over without a word."""
    with pytest.raises(ValueError, match="node_exporter"):
        Settings(textfile=Path(textfile))


def test_it_listens_on_ipv6_where_that_is_said():
    """In brackets, as everywhere."""
    assert Settings(address="[::1]:9464").host_and_port == ("::1", 9464)
    if socket.has_ipv6 and Path("/proc/net/if_inet6").exists() and Path("/proc/net/if_inet6").read_text():
        door = Prometheus(Settings(address="[::1]:0"))
        assert door.port
