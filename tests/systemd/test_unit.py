"""The unit under a real systemd: checked everywhere, booted where nspawn is to be had."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.install import install_unit
from edge.errors import FINAL
from edge.testing import scripted_manifest, write_tree
from tests.conftest import ROOT
from tests.systemd.machine import Machine, booted

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
NAMED_FOLDERS = ("User", "StateDirectory", "CacheDirectory", "RuntimeDirectory")
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
@pytest.mark.parametrize("names", [["edge.service"], ["edge@.service"], ["edge-clock.socket", "edge-clock.service"]])
def test_the_unit_has_no_error(tmp_path: Path, names):
    """systemd-analyze verify finds nothing to say; what a systemd before 254 does not know is in a drop-in."""
    units = [tmp_path / name for name in names]
    for unit in units:
        text = (ROOT / "systemd" / unit.name).read_text()
        unit.write_text(text.replace("/opt/edge-slm/venv/bin/python", sys.executable))
    named = [str(unit).replace("@.", "@some.") for unit in units]
    done = subprocess.run(["systemd-analyze", "verify", *named], capture_output=True, text=True, check=False)
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
@pytest.mark.parametrize("drop_in", ["edge.pi.conf", "edge.clock.conf", "edge.jetson.conf"])
def test_a_drop_in_has_no_error(tmp_path: Path, drop_in):
    """systemd-analyze verify reads it with the unit, and has nothing to say; of an unknown key it would."""
    unit, folder = tmp_path / "edge.service", tmp_path / "edge.service.d"
    unit.write_text(UNIT.read_text().replace("/opt/edge-slm/venv/bin/python", sys.executable))
    folder.mkdir()
    for more, is_well in (("", True), ("NoSuchKey=1\n", False)):
        (folder / "60.conf").write_text((UNIT.parent / drop_in).read_text() + more)
        done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
        assert ((done.returncode, done.stderr) == (0, "")) is is_well


@pytest.mark.parametrize(("model", "is_there"), [("Raspberry Pi 5\0", True), ("Jetson", False), (None, False)])
def test_the_firmware_is_opened_on_a_raspberry_pi(tmp_path: Path, model, is_there):
    """The installer puts the drop-in where the device tree says so."""
    if model is not None:
        write_tree(tmp_path, {"proc/device-tree/model": model})
    install_unit(tmp_path)
    assert (tmp_path / "etc/systemd/system/edge.service.d/60-pi.conf").exists() is is_there


@needs_systemd
@pytest.mark.parametrize("name", ["edge.service", "edge@.service", "edge-clock.service"])
def test_the_sandbox_is_tight(tmp_path: Path, name):
    """systemd-analyze security stays under 2.0 of 10."""
    unit = str(ROOT / "systemd" / name)
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-300:]


def test_an_instance_is_the_unit_once_more():
    """edge@.service differs where it must, in its names; what is mended in one is mended in both."""
    one, many = ((UNIT.parent / name).read_text().splitlines() for name in ("edge.service", "edge@.service"))
    differing = [(first, second) for first, second in zip(one, many, strict=True) if first != second]
    (_, said), *names = differing
    assert said.startswith("Description=Edge SLM: %i")
    assert names == [
        ("Environment=EDGE_CONFIG=/etc/edge-slm/edge.toml", "Environment=EDGE_CONFIG=/etc/edge-slm/%i.toml"),
        *((f"{key}=edge-slm", f"{key}=edge-slm-%i") for key in NAMED_FOLDERS),
    ]


def test_the_example_settings_are_the_defaults(monkeypatch: pytest.MonkeyPatch):
    """systemd/edge.toml.example is what the program prints under the unit, so that no key of it is stale."""
    from edge.commands.serve import print_config
    from edge.config import Settings

    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edge-slm")
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/edge-slm")
    example = (ROOT / "systemd/edge.toml.example").read_text()
    assert example == print_config(Settings(device="board"))


@pytest.fixture
def machine(bundle: Path, tmp_path: Path) -> Iterator[Machine]:
    """The root of this machine, booted, with Mosquitto that wants a password."""
    if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None or shutil.which("mosquitto") is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have root, systemd-container and mosquitto")
        pytest.skip("needs root, systemd-nspawn (systemd-container) and mosquitto")
    prepare(tmp_path / "etc")
    with booted("boot.sh", tmp_path, tmp_path / "etc", ROOT, bundle.resolve()) as machine:
        machine.run("systemctl", "start", "broker.service")
        yield machine


def prepare(etc: Path) -> None:
    """What `make install` and an operator would put into /etc."""
    units, settings = etc / "systemd/system", etc / "edge-slm"
    (units / "edge.service.d").mkdir(parents=True)
    settings.mkdir()
    shutil.copy(UNIT, units)
    drop_in = DROP_IN.format(site=SITE.format(sys.version_info), start=START_SECONDS)
    (units / "edge.service.d/test.conf").write_text(drop_in)
    prepare_clock(etc)
    (units / "broker.service").write_text(
        "[Service]\nType=notify\nExecStart=/usr/sbin/mosquitto -c /etc/edge-slm/mosquitto.conf\n"
    )
    (settings / "edge.toml").write_text(SETTINGS)
    (settings / "password").write_text("secret\n")
    (settings / "mosquitto.conf").write_text(
        "listener 1883 127.0.0.1\npassword_file /etc/edge-slm/passwords\nallow_anonymous false\nuser root\n"
    )
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(settings / "passwords"), "board", "secret"], check=True)


def prepare_clock(etc: Path) -> None:
    """The clock's helper, as it is but for the Python that runs it."""
    units = etc / "systemd/system"
    for name in ("edge-clock.socket", "edge-clock.service"):
        shutil.copy(ROOT / "systemd" / name, units)
    (etc / "sysusers.d").mkdir()
    shutil.copy(ROOT / "systemd/edge.sysusers.conf", etc / "sysusers.d/edge.conf")
    shutil.copy(ROOT / "systemd/edge.clock.conf", units / "edge.service.d/clock.conf")
    (units / "edge-clock.service.d").mkdir()
    text = (ROOT / "systemd/edge-clock.service").read_text()
    text = text.replace("/opt/edge-slm/venv/bin/python -I", "/usr/bin/python3")
    lines = [line for line in text.splitlines() if line.startswith("Exec")]
    cleared = "ExecStart=\nExecStopPost=\n" + "\n".join(lines)
    more = "Environment=PYTHONPATH=/opt/edge-slm/repository\n"
    (units / "edge-clock.service.d/test.conf").write_text(f"[Service]\n{cleared}\n{more}")


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
def test_the_clock_is_capped_by_root_for_whom_is_in_the_group(machine: Machine):
    """The socket starts the helper; others may not speak to it; killed, it leaves nothing behind, and starts again.

    Of /sys it may write the clocks' folder alone, though it is root. This machine has no clock, nor may it write /sys,
    so that the processor's folder is one of the test's.
    """
    cpu, word = "/sys/devices/system/cpu", "/usr/bin/python3 -c '{}'"
    policy = f"{cpu}/cpufreq/policy0"
    machine.run("mount", "-t", "tmpfs", "tmpfs", cpu)
    machine.run("mkdir", "-p", policy)
    for name, value in (("cpuinfo_min_freq", 1500000), ("cpuinfo_max_freq", 2400000), ("scaling_max_freq", 2400000)):
        machine.run("sh", "-c", f"echo {value} > {policy}/{name}")
    machine.run("systemd-sysusers")
    machine.run("systemctl", "start", "edge-clock.socket")
    send = (
        'import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"1700000", "/run/edge-clock.socket")'
    )
    as_daemon = ["systemd-run", "--wait", "--quiet", "-p", "DynamicUser=yes"]

    def cap() -> str:
        return machine.run("cat", f"{policy}/scaling_max_freq")

    machine.run("sh", "-c", f"! {' '.join(as_daemon)} {word.format(send)}")
    assert cap() == "2400000"
    machine.run("sh", "-c", f"{' '.join(as_daemon)} -p SupplementaryGroups=edge-clock {word.format(send)}")
    machine.wait(lambda: cap() == "1700000")
    pid = machine.run("systemctl", "show", "edge-clock.service", "--property=MainPID", "--value")
    inside = f"nsenter -t {pid} -m touch"
    machine.run(
        "sh", "-c", f"{inside} {policy}/may && ! {inside} {cpu}/may && ! {inside} /sys/may && ! {inside} /etc/may"
    )
    machine.run("systemctl", "kill", "-s", "KILL", "edge-clock.service")
    machine.wait(lambda: cap() == "2400000")
    machine.run("sh", "-c", f"{' '.join(as_daemon)} -p SupplementaryGroups=edge-clock {word.format(send)}")
    machine.wait(lambda: cap() == "1700000")
    machine.run("systemctl", "stop", "edge-clock.service")
    assert cap() == "2400000"


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
@pytest.mark.slow
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
@pytest.mark.slow
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


PROBE = """\
mknod /dev/vcio_gencmd c 1 7 && chgrp video /dev/vcio_gencmd && chmod 0640 /dev/vcio_gencmd
mkdir -p /etc/systemd/system/probe.service.d
cp /opt/edge-slm/repository/systemd/edge.pi.conf /etc/systemd/system/probe.service.d/60-pi.conf
sed -e '/^Exec/d; /^Restart=/d; s/^Type=.*/Type=oneshot/; s/^WatchdogSec=.*//' \\
    -e 's,^Environment=.*,ExecStart=/bin/sh -c "ls /dev; head -c 1 < /dev/vcio_gencmd",' \\
    /etc/systemd/system/edge.service > /etc/systemd/system/probe.service
systemctl daemon-reload
"""
"""A unit that is ours but for what it runs, before a node that reads as zeros (mem(4): /dev/full)."""


@pytest.mark.nspawn
def test_a_pis_firmware_in_the_sandbox(machine: Machine):
    """Under unit and drop-in the one node is there and opens for the group; without the node the unit starts."""
    machine.run("sh", "-ec", PROBE)
    machine.run("systemctl", "start", "probe.service")
    seen = machine.run("journalctl", "-u", "probe.service", "--no-pager", "-o", "cat").splitlines()
    assert "vcio_gencmd" in seen
    assert not {"kmsg", "mem", "console"} & set(seen)
    machine.run("sh", "-ec", "rm /dev/vcio_gencmd; sed -i 's/; head.*gencmd//' /etc/systemd/system/probe.service")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "probe.service")
