"""The phone's install script against a stand-in of Termux: what it calls, writes, keeps, refuses and takes away."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from edge.board.battery import Battery
from edge.board.board import Board
from edge.board.files import Files
from edge.board.program import Program
from edge.board.termux import PATH
from edge.board.termux import Termux as Api
from edge.config import Settings
from tests.conftest import ROOT, embedded_broker, free_port, running, wait_until
from tests.deploy.termux import Termux, missing, wait_for_text

PHONE = ROOT / "deploy/phone"
SCRIPTS = sorted(path for path in PHONE.rglob("*") if path.is_file() and path.suffix != ".toml")
ASK = ["/opt/edge-slm/venv/bin/python", "-m", "edge", "ask", "--device", "phone", "--max-tokens", "8"]

pytestmark = [
    pytest.mark.checkout,
    pytest.mark.skipif(bool(missing("unshare", "chroot")), reason="needs unshare and chroot"),
]


@pytest.fixture
def termux(tmp_path: Path):
    """A phone's, with nothing installed."""
    return Termux(tmp_path)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """What an owner types: a wheel and a bundle of sorts."""
    files = tmp_path / "given"
    (files / "bundle").mkdir(parents=True)
    (files / "bundle/manifest.json").write_text("{}")
    (files / "edge_slm-1.0-py3-none-any.whl").write_text("")
    return ["--wheel", str(files / "edge_slm-1.0-py3-none-any.whl"), "--bundle", str(files / "bundle")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(PHONE)))
def test_every_shell_can_read_the_scripts(script):
    """The phone's is dash; shellcheck looks, too, where it is installed."""
    assert script.read_text().startswith("#!/bin/sh\n# ")
    subprocess.run(["sh", "-n", str(script)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--shell=sh", str(script)], check=True)


def test_it_installs_again_and_goes(termux, words):
    """All of it once; again, and nothing is installed anew and settings stay; then it goes, but for what is yours."""
    first = termux.install(*words, "--broker", "broker.lan:8883", "--device", "kitchen")
    assert first.returncode == 0, first.stdout
    calls = termux.calls()
    assert "pkg install -y proot-distro termux-services" in calls
    assert "pkg install -y termux-api" in calls
    assert "proot-distro install --name edge-slm debian:13" in calls
    assert calls[-2:] == ["sv-enable edge", "sv-enable edge-battery"]
    settings = termux.home / "edge-slm/etc/edge.toml"
    settings.write_text(settings.read_text() + "# mine\n")
    assert "python3-venv" in (termux.root / "apt.log").read_text()
    assert not (termux.service / "down").exists()

    second = termux.install(*words, "--broker", "other.lan")
    assert second.returncode == 0, second.stdout
    calls = termux.calls()
    assert "sv -w 60 stop edge" in calls
    assert not any(call.startswith("proot-distro install") for call in calls)
    assert settings.read_text().endswith("# mine\n")
    assert "other.lan" not in settings.read_text()
    assert len((termux.root / "apt.log").read_text().splitlines()) == 2

    gone = termux.install("--uninstall")
    assert gone.returncode == 0, gone.stdout
    assert "proot-distro remove edge-slm" in termux.calls()
    assert not termux.root.exists()
    assert list((termux.prefix / "var/service").iterdir()) == []
    assert settings.is_file()
    assert termux.install("--uninstall", "--purge").returncode == 0
    assert not (termux.home / "edge-slm").exists()


def test_the_settings_are_the_phones(termux, words, tmp_path):
    """Broker, name, and as many threads as there are cores faster than the slow ones; the daemon takes them."""
    assert termux.install(*words, "--broker", "10.0.0.2:1884", "--device", "kitchen").returncode == 0
    written = tomllib.loads((termux.home / "edge-slm/etc/edge.toml").read_text())
    settings = Settings(**written)
    assert (settings.device, settings.broker.host, settings.broker.port) == ("kitchen", "10.0.0.2", 1884)
    assert (settings.engine.threads, settings.governor.preset) == (4, "phone")
    assert Settings(**tomllib.loads((PHONE / "edge.toml").read_text())).device == "phone"


def test_packages_come_as_locked_and_from_where_it_is_said(termux, words, tmp_path):
    """By hash; from a folder without any index, from an index, or from pip's own."""
    (tmp_path / "wheels").mkdir()
    for more in ([], ["--wheels", str(tmp_path / "wheels")], ["--index", "https://packages.example/simple"]):
        assert termux.install(*words, *more).returncode == 0
    bare, folder, index = (termux.root / "pip.log").read_text().splitlines()[::2]
    assert all("--require-hashes" in line and "--only-binary=:all:" in line for line in (bare, folder, index))
    assert "--index" not in bare
    assert "--no-index --find-links=/mnt/wheels" in folder
    assert "--index-url=https://packages.example/simple" in index


@pytest.mark.parametrize(
    ("env", "more", "said"),
    [
        ({"TERMUX_VERSION": ""}, [], "this is not Termux"),
        ({"TERMUX_MACHINE": "armv8l"}, [], "this Termux is for armv8l"),
        ({"TERMUX_NO_MINIMAL": "no"}, [], "has no --minimal"),
        ({}, ["--broker", "a b"], "no HOST[:PORT]"),
        ({}, ["--broker", "host:x"], "no HOST[:PORT]"),
        ({}, ["--device", 'x" = 1'], "letters, digits"),
        ({}, ["--bundle", "/nowhere"], "no bundle"),
        ({}, ["--wheel", "/nowhere"], "no such file"),
        ({}, ["--wheels", "/nowhere"], "no such folder"),
        ({}, ["--frobnicate"], "is no option"),
        ({}, ["--lock"], "--lock wants a value"),
    ],
)
def test_what_cannot_be_is_refused(termux, words, env, more, said):
    """In words, before Debian is installed."""
    done = termux.install(*words, *more, **env)
    assert done.returncode == 1
    assert said in done.stdout
    assert not (termux.prefix / "var/lib").exists()


def test_without_the_battery_and_at_boot(termux, words):
    """Two choices of the owner's."""
    assert termux.install(*words, "--no-battery", "--at-boot").returncode == 0
    assert not any("termux-api" in call for call in termux.calls())
    assert not (termux.prefix / "var/service/edge-battery").exists()
    assert not (termux.root / PATH).exists()
    boot = (termux.home / ".termux/boot/edge-slm").read_text()
    assert "termux-wake-lock" in boot
    assert f"{termux.prefix}/etc/profile.d/start-services.sh" in boot


def test_what_the_battery_says_gets_to_the_daemon(termux, words):
    """From Termux's program by a file into Debian, where the daemon runs what has its name; not when it is old."""
    assert termux.install(*words).returncode == 0
    said = termux.home / "edge-slm/run/battery.json"
    run = termux.prefix / "var/service/edge-battery/run"
    with running([str(run)], said.parent / "log", termux.env):
        wait_until(said.is_file)
    script = termux.root / PATH
    script.write_text(script.read_text().replace("/run/edge-slm/", f"{said.parent}/"))
    found = Battery(termux=Api(Program([str(script)]))).read(Files(termux.root))
    assert (found["level_percent"], found["status"], found["celsius"]) == (80.0, "discharging", 30.5)
    os.utime(said, (0, 0))
    files = Files(termux.root)
    assert Battery(termux=Api(Program([str(script)]))).read(files)["level_percent"] is None
    assert PATH in files.failed


def test_the_daemon_knows_the_phone(termux, words):
    """By a mark in Debian, since nothing of Android's is bound in."""
    assert termux.install(*words).returncode == 0
    assert Board().read(Files(termux.root))["kind"] == "phone"


def test_the_service_answers_and_ends_in_order(termux, words, bundle, tmp_path):
    """Its `run` becomes the daemon, which answers over MQTT; `control/t`, in SIGTERM's place, ends it with 0."""
    port = free_port()
    given = [*words[:2], "--bundle", str(bundle), "--broker", f"127.0.0.1:{port}"]
    done = termux.install(*given)
    assert done.returncode == 0, done.stdout
    log = tmp_path / "serve.log"
    env = {**termux.env, "EDGE_ENGINE__VERIFY_HASHES": "false"}
    with embedded_broker(tmp_path, port), log.open("wb") as output:
        command = [str(termux.service / "run")]
        process = subprocess.Popen(command, cwd=termux.service, stdout=output, stderr=output, env=env)
        try:
            wait_for_text(log, "online")
            asked = ["proot-distro", "login", "edge-slm", "--", *ASK, "--broker", f"127.0.0.1:{port}", "2+2?"]
            answer = termux.run(asked)
            assert answer.returncode == 0, answer.stdout
            assert answer.stdout.strip()
            termux.calls()
            assert termux.run([str(termux.service / "control/t")]).returncode == 0
            assert process.wait(60) == 0, log.read_text()
        finally:
            process.kill()
    assert re.search(r"INFO stopping", log.read_text())
    assert "Traceback" not in log.read_text()
    assert [path.name for path in (termux.home / "edge-slm/state").glob("*.journal")] == ["phone.journal"]
