"""The unit under a real systemd: checked everywhere, booted where nspawn is to be had."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.install import install_unit
from edge.errors import FINAL
from edge.testing import scripted_manifest
from tests.conftest import ROOT

pytestmark = pytest.mark.checkout
UNIT = ROOT / "systemd/edge.service"
SITE = "/opt/edge-slm/repository/.venv/lib/python{0.major}.{0.minor}/site-packages"
START_SECONDS = 8
DROP_IN = """\
[Service]
# This machine's own Python over the repository's environment: the home folder that holds ours is hidden.
ExecStart=
ExecStart=/usr/bin/python3 -m edge serve
Environment=PYTHONPATH=/opt/edge-slm/repository:{site} EDGE_LOG_LEVEL=debug
LoadCredential=broker_password:/etc/edge-slm/password
WatchdogSec=3
TimeoutStartSec={start}
RestartSec=0.2
"""
SETTINGS = """\
device = "test"
[broker]
username = "board"
[engine]
bundle = "/srv/edge-slm/bundle"
verify_hashes = false
"""
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@needs_systemd
def test_the_unit_has_no_error(tmp_path: Path):
    """systemd-analyze verify finds nothing to say; what a systemd before 254 does not know is in a drop-in."""
    unit = tmp_path / "edge.service"
    unit.write_text(UNIT.read_text().replace("/opt/edge-slm/venv/bin/python", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_final_for_us_is_final_for_systemd():
    """The unit names our final exit statuses, and argparse's, and gives up on no other."""
    unit = UNIT.read_text()
    found = re.search(r"^RestartPreventExitStatus=(.+)$", unit, re.MULTILINE)
    assert found
    assert set(map(int, found[1].split())) == {2} | FINAL
    assert "\nStartLimitIntervalSec=0\n" in unit


@pytest.mark.parametrize(("version", "is_there"), [("252 (252.39-1~deb12u1)", False), ("257 (257.8-1)", True)])
def test_longer_delays_are_for_a_systemd_that_knows_them(tmp_path: Path, monkeypatch, version, is_there):
    """The installer asks systemd for its version."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text(f"#!/bin/sh\necho 'systemd {version}'\n")
    (tmp_path / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    install_unit(tmp_path / "root")
    drop_in = tmp_path / "root/etc/systemd/system/edge.service.d/50-restart.conf"
    assert drop_in.exists() is is_there


@needs_systemd
def test_the_sandbox_is_tight(tmp_path: Path):
    """systemd-analyze security stays under 2.0 of 10."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_example_settings_are_the_defaults(monkeypatch: pytest.MonkeyPatch):
    """systemd/edge.toml.example is what the program prints under the unit, so that no key of it is stale."""
    from edge.commands.serve import print_config
    from edge.config import Settings

    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edge-slm")
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/edge-slm")
    example = (ROOT / "systemd/edge.toml.example").read_text()
    assert example == print_config(Settings(device="board"))


@dataclass
class Machine:
    """A booted systemd."""

    pid: int
    console: Path

    def run(self, *command: str, check: bool = True, seconds: float = 60) -> str:
        """A command inside; its output."""
        entered = ["nsenter", "-t", str(self.pid), "-a", *command]
        done = subprocess.run(entered, capture_output=True, text=True, timeout=seconds, check=False)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def show(self, name: str) -> str:
        """A property of the unit."""
        return self.run("systemctl", "show", "edge.service", f"--property={name}", "--value")

    def seconds_since(self, event: str) -> float:
        """How long ago the unit did something, by systemd's own clock; 0 where it has not."""
        moment = int(self.show(f"{event}TimestampMonotonic"))
        return time.monotonic() - moment / 1e6 if moment else 0

    def wait(self, what: Callable[[], bool], seconds: float = 60) -> None:
        """Return once it is so."""
        until = time.monotonic() + seconds
        while not what():
            if time.monotonic() > until:
                raise AssertionError(self.run("journalctl", "--no-pager", "-n", "60", check=False))
            time.sleep(0.1)


@pytest.fixture
def machine(bundle: Path, tmp_path: Path) -> Iterator[Machine]:
    """The root of this machine, booted, with Mosquitto that wants a password."""
    if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None or shutil.which("mosquitto") is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have root, systemd-container and mosquitto")
        pytest.skip("needs root, systemd-nspawn (systemd-container) and mosquitto")
    prepare(tmp_path / "etc")
    command = ["unshare", "-m", "sh", str(Path(__file__).with_name("boot.sh"))]
    command += [str(tmp_path), str(ROOT), str(bundle.resolve())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = process.stdout.readline().strip()
    assert pid.isdigit(), (tmp_path / "console.log").read_text()
    booted = Machine(int(pid), tmp_path / "console.log")
    try:
        booted.wait(lambda: "running" in booted.run("systemctl", "is-system-running", check=False), 30)
        booted.run("systemctl", "start", "broker.service")
        yield booted
    finally:
        booted.run("systemctl", "poweroff", "--force", check=False)
        process.wait(30)
        remove_cgroups()


def prepare(etc: Path) -> None:
    """What `make install` and an operator would put into /etc."""
    units, settings = etc / "systemd/system", etc / "edge-slm"
    (units / "edge.service.d").mkdir(parents=True)
    settings.mkdir()
    shutil.copy(UNIT, units)
    drop_in = DROP_IN.format(site=SITE.format(sys.version_info), start=START_SECONDS)
    (units / "edge.service.d/test.conf").write_text(drop_in)
    (units / "broker.service").write_text(
        "[Service]\nType=notify\nExecStart=/usr/sbin/mosquitto -c /etc/edge-slm/mosquitto.conf\n"
    )
    (settings / "edge.toml").write_text(SETTINGS)
    (settings / "password").write_text("secret\n")
    (settings / "mosquitto.conf").write_text(
        "listener 1883 127.0.0.1\npassword_file /etc/edge-slm/passwords\nallow_anonymous false\nuser root\n"
    )
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(settings / "passwords"), "board", "secret"], check=True)


def remove_cgroups() -> None:
    """Nspawn leaves empty cgroups behind."""
    for top in ("systemd", "unified", "."):
        for name in ("payload", "supervisor"):
            folder = Path("/sys/fs/cgroup") / top / name
            if folder.is_dir():
                subprocess.run(["find", str(folder), "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], check=False)


@pytest.mark.nspawn
@pytest.mark.mosquitto
@pytest.mark.skipif(sysconfig.get_python_version() != "3.11", reason="Debian 12's own Python is 3.11")
def test_the_unit_serves_and_recovers(machine: Machine):
    """Ready after the warm-up, answers, is watched, comes back after kill -9 and a hang, stops cleanly."""
    machine.run("systemctl", "start", "edge.service", seconds=90)
    assert machine.show("ActiveState") == "active"
    assert "serving smollm2-135m-instruct" in machine.show("StatusText")
    assert "Paris" in ask(machine)

    first = machine.show("MainPID")
    machine.run("kill", "-9", first)
    machine.wait(lambda: machine.show("ActiveState") == "active" and machine.show("MainPID") not in ("0", first))
    assert "Paris" in ask(machine)

    second = machine.show("MainPID")
    machine.run("kill", "-STOP", second)
    machine.wait(lambda: machine.show("ActiveState") == "active" and machine.show("MainPID") not in ("0", second))
    assert machine.show("NRestarts") == "2"
    assert "watchdog" in machine.run("journalctl", "--no-pager", "-u", "edge.service").lower()

    machine.run("systemctl", "stop", "edge.service")
    assert (machine.show("Result"), machine.show("ExecMainStatus")) == ("success", "0")


@pytest.mark.nspawn
@pytest.mark.mosquitto
@pytest.mark.skipif(sysconfig.get_python_version() != "3.11", reason="Debian 12's own Python is 3.11")
def test_what_must_be_put_right_is_not_started_again(machine: Machine):
    """A damaged bundle (65) and a wrong setting (78) are final: systemd does not try again and again."""
    machine.run("sh", "-c", "cp -r /srv/edge-slm/bundle /srv/damaged && echo x >> /srv/damaged/tokenizer.json")
    machine.run("sed", "-i", "s#/srv/edge-slm/bundle#/srv/damaged#", "/etc/edge-slm/edge.toml")
    machine.run("systemctl", "start", "edge.service", check=False)
    assert (machine.show("ActiveState"), machine.show("ExecMainStatus")) == ("failed", "65")
    assert "but the manifest says" in machine.show("StatusText")
    machine.run("sh", "-c", "echo 'colour = 1' > /etc/edge-slm/edge.toml")
    machine.run("systemctl", "start", "edge.service", check=False)
    assert (machine.show("ActiveState"), machine.show("ExecMainStatus")) == ("failed", "78")
    assert "colour" in machine.show("StatusText")
    assert machine.show("NRestarts") == "0"


@pytest.mark.nspawn
@pytest.mark.mosquitto
@pytest.mark.skipif(sysconfig.get_python_version() != "3.11", reason="Debian 12's own Python is 3.11")
def test_what_may_pass_is_tried_until_it_has_passed(machine: Machine):
    """A bundle on a disk that is mounted late: more starts than systemd bears by default, then it serves by itself."""
    machine.run("mkdir", "/srv/late")
    machine.run("sed", "-i", "s#/srv/edge-slm/bundle#/srv/late#", "/etc/edge-slm/edge.toml")
    machine.run("systemctl", "start", "edge.service", check=False)
    machine.wait(lambda: int(machine.show("NRestarts")) > 12, 120)
    machine.wait(lambda: machine.show("SubState") == "auto-restart")
    assert (machine.show("ActiveState"), machine.show("ExecMainStatus")) == ("activating", "75")
    assert "is its disk mounted" in machine.show("StatusText")
    machine.run("mount", "--bind", "/srv/edge-slm/bundle", "/srv/late")
    machine.wait(lambda: machine.show("ActiveState") == "active", 90)
    assert "serving smollm2-135m-instruct" in machine.show("StatusText")


@pytest.mark.nspawn
@pytest.mark.mosquitto
@pytest.mark.skipif(sysconfig.get_python_version() != "3.11", reason="Debian 12's own Python is 3.11")
def test_a_long_start_is_waited_for_and_can_be_stopped(machine: Machine):
    """Verifying a terabyte takes longer than TimeoutStartSec; systemd hears how far it is, and a stop ends it."""
    entries = {"model.onnx.data": {"sha256": "0" * 64, "size_bytes": 1 << 40}}
    manifest = scripted_manifest(files=entries).model_dump_json()
    folder = "/srv/endless"
    machine.run("sh", "-c", f"mkdir {folder} && truncate -s 1T {folder}/model.onnx.data")
    machine.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", manifest, f"{folder}/manifest.json")
    machine.run("sh", "-c", f"sed -i 's#/srv/edge-slm/bundle#{folder}#; /verify_hashes/d' /etc/edge-slm/edge.toml")
    machine.run("systemctl", "start", "--no-block", "edge.service")
    machine.wait(lambda: machine.seconds_since("InactiveExit") > 2 * START_SECONDS)
    assert (machine.show("ActiveState"), machine.show("NRestarts")) == ("activating", "0")
    assert re.match(r"checking the bundle: [\d.]+ % of 1099.51 GB", machine.show("StatusText"))
    machine.run("systemctl", "stop", "edge.service")
    assert (machine.show("Result"), machine.show("ExecMainStatus")) == ("success", "0")


def ask(machine: Machine) -> str:
    """One question with mosquitto_rr, as a stranger's program would ask it; the terminal message's text."""
    request = json.dumps({"prompt": "What is the capital of France?", "max_tokens": 12, "stream": False})
    options = ["-u", "board", "-P", "secret", "-V", "5", "-q", "1", "-W", "30"]
    topics = ["-t", "edge/test/request", "-e", "answers", "-m", request]
    return str(json.loads(machine.run("mosquitto_rr", *options, *topics))["text"])
