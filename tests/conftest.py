"""Fixtures: the real bundle, real brokers, the real daemon as a process."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before any test imports the runtime
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell's `&` ignores, every child would ignore
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # likewise, and nohup
EDGE = [sys.executable, "-m", "edge"]
hypothesis.settings.register_profile(
    "fixed", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("fixed")  # the same examples everywhere, however slow the machine


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The default model's bundle, made by `make bundle` with our own export."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(os.environ.get("TEST_BUNDLE") or Path(cache) / "edge-slm/bundles/smollm2-135m-6")
    if not (path / "manifest.json").is_file():
        pytest.fail(f"{path} is not there; `make test` makes it, or set TEST_BUNDLE")
    return path


@pytest.fixture(scope="session")
def phi_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phi-3.5-mini made small, random weights, its real tokenizer and template."""
    from tests.export import small_phi

    return small_phi.export(tmp_path_factory.mktemp("phi"))


@pytest.fixture(scope="session")
def vision_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that sees pictures: Phi-3.5-vision made small, random weights in float32, its real tokenizer."""
    from tests.export import small_vision

    return small_vision.export(tmp_path_factory.mktemp("vision"))


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("EDGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(params=["embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A real broker process of either kind; its port."""
    start = embedded_broker if request.param == "embedded" else mosquitto
    with start(tmp_path) as port:
        yield port


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Mosquitto its tests are skipped by hand and fail in CI, where it must be."""
    if shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or os.environ.get("CI"):
        return
    for item in items:
        if item.get_closest_marker("mosquitto"):
            item.add_marker(pytest.mark.skip(reason="mosquitto is not installed: sudo apt install mosquitto"))


def free_port() -> int:
    """A port on loopback that nobody listens on, and that no outgoing connection of another test is given meanwhile."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", 10_000 + secrets.randbelow(20_000)))
            return int(probe.getsockname()[1])


@contextmanager
def embedded_broker(
    folder: Path, port: int | None = None, websocket_port: int | None = None, extra: Sequence[str] = ()
) -> Iterator[int]:
    """`edge broker` as a process."""
    port = port or free_port()
    websocket = [f"--websocket-port={websocket_port}"] if websocket_port else []
    with running([*EDGE, "broker", f"--port={port}", *websocket, *extra], folder / "broker.log"):
        wait_for_port(port)
        yield port


@contextmanager
def mosquitto(folder: Path, port: int | None = None, config: str = "") -> Iterator[int]:
    """Debian's Mosquitto as a process."""
    port = port or free_port()
    with running(mosquitto_command(folder, port, config), folder / "mosquitto.log"):
        wait_for_port(port)
        yield port


def mosquitto_command(folder: Path, port: int, config: str = "") -> list[str]:
    """What starts it, its configuration written into the folder."""
    path = folder / "mosquitto.conf"
    path.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n{config}")
    return [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", str(path)]


@contextmanager
def running(command: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to a file; ended with SIGTERM, killed where it does not go."""
    with log.open("ab") as output:
        environment = {**os.environ, **(env or {})}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=ROOT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(port: int, seconds: float = 20) -> None:
    """Return once something listens."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port} after {seconds} s")


def wait_until(what: Callable[[], bool], seconds: float = 30) -> None:
    """Return once it is so; TimeoutError else."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.02)


@contextmanager
def manager(path: Path) -> Iterator[Callable[[], list[str]]]:
    """A service manager's end of sd_notify(3) at a path: what it has heard so far."""
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(path))
        channel.setblocking(False)

        def so_far() -> list[str]:
            with suppress(BlockingIOError):
                while True:
                    heard.append(channel.recv(4096).decode())
            return heard

        yield so_far


@dataclass
class Daemon:
    """`edge serve` as a process."""

    process: subprocess.Popen[bytes]
    port: int
    device: str
    log: Path

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def serving(bundle: Path, port: int, folder: Path, **settings: str) -> Iterator[Daemon]:
    """The daemon over a broker's port, on a device named `test`; it may still be loading."""
    env = {"EDGE_DEVICE": "test", "EDGE_BROKER__PORT": str(port), "EDGE_ENGINE__BUNDLE": str(bundle)}
    env |= {"EDGE_JOURNAL__FOLDER": str(folder / "state"), "EDGE_ENGINE__CACHE_FOLDER": str(folder / "cache")}
    env |= {"EDGE_ENGINE__PACKS": "false", **settings}
    log = folder / "serve.log"
    with running([*EDGE, "serve"], log, env) as process:
        yield Daemon(process, port, "test", log)
