"""A start that takes its time: what systemd and the broker hear of it meanwhile, and how it is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from edge.testing import scripted_manifest
from tests.clients import User
from tests.conftest import embedded_broker, serving
from tests.edge.commands.test_starts import child_of

ENDLESS_BYTES = 1 << 40
"""Of a file with nothing in it, which takes longer to hash than any test."""


class Manager:
    """A service manager that listens: the messages of sd_notify(3), in their order."""

    def __init__(self, address: str) -> None:
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.bind(address)
        self._channel.settimeout(60)
        self.heard: list[dict[str, str]] = []

    def hear(self, words: str) -> dict[str, str]:
        """The next message whose status has such words."""
        while True:
            text = self._channel.recv(1 << 16).decode()
            self.heard.append(dict(line.split("=", 1) for line in text.splitlines()))
            if re.search(words, self.heard[-1].get("STATUS", "")):
                return self.heard[-1]


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:
    """It listens to every daemon that this test starts."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return Manager(str(tmp_path / "notify"))


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A bundle whose weights are a terabyte of nothing."""
    folder = tmp_path / "endless"
    folder.mkdir()
    with (folder / "model.onnx.data").open("wb") as file:
        file.truncate(ENDLESS_BYTES)
    entries = {"model.onnx.data": {"sha256": "0" * 64, "size_bytes": ENDLESS_BYTES}}
    (folder / "manifest.json").write_text(scripted_manifest(files=entries).model_dump_json())
    return folder


def test_hashing_is_told_and_stopped_at_once(endless, tmp_path, manager):
    """The start is extended first, and again and again; the board is at its broker; SIGTERM ends with 0."""
    with embedded_broker(tmp_path) as port, User(port, "edge/test/status") as user:
        with serving(endless, port, tmp_path) as daemon:
            assert manager.hear("looking at the bundle")["EXTEND_TIMEOUT_USEC"]
            assert len(manager.heard) == 1
            shares = [manager.hear(r"checking the bundle: [\d.]+ % of 1099\.51 GB") for _ in range(2)]
            assert all(int(each["EXTEND_TIMEOUT_USEC"]) > 10e6 for each in shares)
            assert json.loads(user.next().payload)["state"] == "loading"
            assert daemon.stop() == 0
        assert [json.loads(user.next().payload)["state"] for _ in range(2)] == ["stopping", "offline"]


def test_loading_is_told_and_stopped_at_once(bundle, tmp_path, manager):
    """SIGTERM in the middle of loading ends with 0, and the engine's process with it."""
    with embedded_broker(tmp_path) as port, serving(bundle, port, tmp_path) as daemon:
        child = child_of(daemon.process.pid)
        assert manager.hear("loading the model|checking the bundle")["EXTEND_TIMEOUT_USEC"]
        assert daemon.stop() == 0
        assert not Path(f"/proc/{child}").exists()
        assert "online" not in daemon.log.read_text()


@pytest.mark.slow
def test_the_second_start_reads_no_weights(bundle, tmp_path, manager):
    """What was verified before and not touched is not read again; what was touched is."""
    linked = tmp_path / "bundle"
    linked.mkdir()
    for file in bundle.iterdir():
        (linked / file.name).write_bytes(file.read_bytes())
    settled = max(file.stat().st_ctime_ns for file in linked.iterdir()) + 3 * 10**9
    wait_until(settled)
    weights = (linked / "model.onnx.data").stat().st_size
    with embedded_broker(tmp_path) as port:
        read = [bytes_read(linked, port, tmp_path, manager) for _ in range(2)]
        (linked / "model.onnx.data").touch()
        read.append(bytes_read(linked, port, tmp_path, manager))
    assert read[0] - read[1] > weights * 0.9
    assert read[2] - read[1] > weights * 0.9


def wait_until(moment: int) -> None:
    """Until the wall clock has come so far, in nanoseconds since 1970."""
    while time.time_ns() < moment:
        time.sleep(0.1)


def bytes_read(bundle: Path, port: int, folder: Path, manager: Manager) -> int:
    """What a daemon of its own has read until it was online; the engine's process is another."""
    with serving(bundle, port, folder) as daemon:
        manager.hear("^serving")
        fields = dict(line.split(": ") for line in Path(f"/proc/{daemon.process.pid}/io").read_text().splitlines())
        assert daemon.stop() == 0
    return int(fields["rchar"])


def test_a_start_that_fails_says_why_where_an_operator_looks(bundle, tmp_path, manager):
    """To systemd, which shows it until the next start, and on the board's topic, whose Will knows no reason."""
    with (
        embedded_broker(tmp_path) as port,
        User(port, "edge/test/status") as user,
        serving(bundle, port, tmp_path) as daemon,
    ):
        child = child_of(daemon.process.pid)
        os.kill(child, signal.SIGSTOP)  # so that it is not ready before the board is at its broker
        assert json.loads(user.next(30).payload)["state"] == "loading"
        os.kill(child, signal.SIGKILL)
        bodies = [json.loads(user.next(30).payload) for _ in range(2)]
        assert [body["state"] for body in bodies] == ["stopping", "offline"]
        assert "killed, most likely since memory was short" in bodies[1]["reason"]
        assert manager.hear("killed, most likely since memory was short")
        assert daemon.process.wait(30) == 75
