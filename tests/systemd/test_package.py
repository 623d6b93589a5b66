"""The package on a booted Debian of its own, 12 and 13, with no network but loopback: from dpkg -i to purge.

The tests of a release share one machine, and come in the order of a board's life.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.machine import Machine
from tests.systemd.packages import (
    QUESTION,
    RELEASES,
    ask,
    build,
    debian_board,
    fail_without_tools,
    findings,
    left,
    newer,
    purge,
    rebuilt,
)

LONG = {"prompt": "Write a long story about a lighthouse and its keeper.", "max_tokens": 300, "temperature": 0}
SECRET = "no-one-else-reads-this"

pytestmark = [
    pytest.mark.deb,
    pytest.mark.nspawn,
    pytest.mark.checkout,
    pytest.mark.timeout(600),
    pytest.mark.skipif("RUN_DEB" not in os.environ, reason="minutes long: make deb-test"),
]


@pytest.fixture(scope="module", params=RELEASES)
def packages(request, tmp_path_factory) -> Iterator[Path]:
    """A folder with first.deb and newer.deb for a release, which its name is."""
    fail_without_tools()
    folder = tmp_path_factory.mktemp("packages") / str(request.param)
    package = build(request.param, folder)
    newer(package, folder)
    package.rename(folder / "first.deb")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def board(packages: Path, bundle: Path, tmp_path_factory) -> Iterator[Machine]:
    """A booted Debian with the packages."""
    with debian_board(int(packages.name), packages, bundle, tmp_path_factory.mktemp("debian")) as machine:
        yield machine


def test_a_package_is_the_same_whoever_builds_it(packages: Path, tmp_path: Path):
    """Another folder, umask and time zone give the same bytes."""
    if packages.name == "13":
        pytest.skip("as for 12, which was")
    again = rebuilt(int(packages.name), tmp_path)
    assert (packages / "first.deb").read_bytes() == again.read_bytes()


def test_lintian_has_nothing_more_to_say(packages: Path):
    """What it has against wheels is in the overrides, each with its reason."""
    if packages.name == "13":
        pytest.skip("this machine's lintian is Debian 12's")
    assert findings(packages / "first.deb") == []


def test_from_file_to_answer_without_a_network(board: Machine):
    """Dpkg alone installs it; without a bundle the unit says so and goes on trying; with one it serves by itself."""
    assert board.run("ls", "/sys/class/net") == "lo"
    board.run("dpkg", "-i", "/mnt/packages/first.deb", seconds=240)
    board.wait(lambda: "there is nothing" in board.show("StatusText"))
    assert board.show("ActiveState") == "activating"
    board.run("cp", "-r", "/mnt/bundle", "/srv/edge-slm/bundle")
    board.wait(lambda: board.show("ActiveState") == "active", 90)
    assert "Paris" in str(ask(board, QUESTION | {"id": "first"})["text"])
    assert board.run("edge", "--version").startswith("edge ")
    board.run("edge", "bundle", "verify", "/srv/edge-slm/bundle")


def test_what_was_killed_comes_back(board: Machine):
    """A kill -9, and a daemon that says nothing any more, which the watchdog ends."""
    first = board.show("MainPID")
    signal(board, "KILL", first)
    board.wait(lambda: board.show("ActiveState") == "active" and board.show("MainPID") != first, 90)
    drop_in(board, "watchdog", "WatchdogSec=3")
    board.run("systemctl", "restart", "edge", seconds=90)
    second = board.show("MainPID")
    signal(board, "STOP", second)
    board.wait(lambda: board.show("ActiveState") == "active" and board.show("MainPID") not in ("0", second), 90)
    assert "watchdog" in board.run("journalctl", "--no-pager", "-u", "edge.service").lower()
    drop_in(board, "watchdog", "")


def test_a_hung_engine_is_started_anew(board: Machine):
    """With work in hand and no sign of life it is killed; the daemon stays, and answers."""
    board.run("sed", "-i", "s/^stall_seconds.*/stall_seconds = 3.0/", "/etc/edge-slm/edge.toml")
    board.run("systemctl", "restart", "edge", seconds=90)
    daemon, engine = board.show("MainPID"), engine_of(board)
    signal(board, "STOP", engine)
    assert ask(board, QUESTION | {"id": "hung"})["code"] in (200, 500, 503)
    board.wait(lambda: engine_of(board) not in ("", engine))
    assert "Paris" in str(ask(board, QUESTION)["text"])
    assert board.show("MainPID") == daemon


def test_a_stop_lets_the_running_answer_end(board: Machine):
    """It comes to its own end after SIGTERM, and so does the daemon."""
    listen = ["mosquitto_sub", "-h", "127.0.0.1", "-t", "edge/board/reply/me", "-q", "1"]
    entered = ["nsenter", "-t", str(board.pid), "-a", *listen]
    with subprocess.Popen(entered, stdout=subprocess.PIPE, text=True) as heard:
        assert heard.stdout is not None
        board.wait(lambda: bool(process_of(board, "mosquitto_su[b]")))
        publish = ["mosquitto_pub", "-h", "127.0.0.1", "-q", "1", "-t", "edge/board/request/me", "-m"]
        board.run(*publish, json.dumps(LONG))
        heard.stdout.readline()
        board.run("systemctl", "stop", "edge")
        replies = (json.loads(line) for line in heard.stdout)
        last = next(reply for reply in replies if reply.get("finish_reason"))
        heard.terminate()
    assert last["code"] == 200
    assert last["finish_reason"] in ("stop", "length", "loop")
    assert (board.show("Result"), board.show("ExecMainStatus")) == ("success", "0")
    board.run("systemctl", "start", "edge", seconds=90)


def test_the_brokers_password_is_the_daemons_alone(board: Machine):
    """A broker that wants it takes the board; no other user reads it, and systemd does not tell it."""
    folder = "/etc/edge-slm/credentials"
    board.run("sh", "-c", f"umask 077; printf %s {SECRET} > {folder}/broker_password")
    board.run(
        "sh", "-c", f"mosquitto_passwd -c -b /etc/mosquitto/passwd board {SECRET}; chmod 644 /etc/mosquitto/passwd"
    )
    lines = "listener 1883 127.0.0.1\\nallow_anonymous false\\npassword_file /etc/mosquitto/passwd\\n"
    board.run("sh", "-c", f"printf '{lines}' > /etc/mosquitto/conf.d/test.conf; systemctl restart mosquitto")
    board.run("sed", "-i", 's/^# username =.*/username = "board"/', "/etc/edge-slm/edge.toml")
    drop_in(board, "broker", f"LoadCredential=broker_password:{folder}/broker_password")
    board.run("systemctl", "restart", "edge", seconds=90)
    assert "Paris" in str(ask(board, QUESTION | {"id": "login"}, "-u", "board", "-P", SECRET)["text"])
    for place in (f"{folder}/broker_password", "/run/credentials/edge.service/broker_password"):
        board.run("test", "-r", place)
        board.run("sh", "-c", f"! setpriv --reuid=65534 --regid=65534 --clear-groups cat {place} 2> /dev/null")
    told = [board.run("systemctl", "show", "edge"), board.run("journalctl", "--no-pager", "-u", "edge.service")]
    told += [board.run("cat", f"/proc/{pid}/environ", f"/proc/{pid}/cmdline") for pid in (board.show("MainPID"),)]
    assert not any(SECRET in each for each in told)
    board.run("sh", "-c", "rm /etc/mosquitto/conf.d/test.conf; systemctl restart mosquitto")


def test_an_upgrade_keeps_what_is_the_boards(board: Machine):
    """Settings as they were edited, the new ones beside them; the journal, which answers again what it answered."""
    before = ask(board, QUESTION)
    settings = board.run("cat", "/etc/edge-slm/edge.toml")
    board.run("dpkg", "--force-confdef", "--force-confold", "-i", "/mnt/packages/newer.deb", seconds=240)
    assert board.run("dpkg-query", "-W", "-f", "${Version}", "edge-slm").startswith("9")
    assert board.show("ActiveState") == "active"
    assert board.run("cat", "/etc/edge-slm/edge.toml") == settings
    assert board.run("tail", "-n", "1", "/etc/edge-slm/edge.toml.dpkg-dist") == "# newer"
    assert ask(board, QUESTION) == before
    board.run("systemctl", "stop", "edge")
    board.run("dpkg", "--force-confdef", "--force-confold", "-i", "/mnt/packages/first.deb", seconds=240)
    assert board.show("ActiveState") == "inactive"


def test_two_bundles_on_one_board(board: Machine):
    """An instance has a user, settings, journal and cache of its own, and starts again with an upgrade."""
    board.run("sh", "-c", "printf 'device = \"two\"\\n[engine]\\nthreads = 1\\n' > /etc/edge-slm/two.toml")
    board.run("systemctl", "enable", "--now", "edge@two", seconds=90)
    assert "two.journal" in board.run("ls", "/var/lib/edge-slm-two/")
    board.run("dpkg", "--force-confold", "-i", "/mnt/packages/newer.deb", seconds=240)
    assert board.run("systemctl", "is-active", "edge@two") == "active"
    assert board.show("ActiveState") == "inactive"


def test_a_purge_leaves_nothing(board: Machine):
    """But the operator's own: bundles and drop-ins, which go first here. A removal before it kept all, to come back."""
    board.run("dpkg", "--remove", "edge-slm")
    board.run("test", "-e", "/var/lib/edge-slm/board.journal", "-a", "-e", "/etc/edge-slm/edge.toml")
    board.run("dpkg", "-i", "/mnt/packages/newer.deb", seconds=240)
    assert board.show("ActiveState") == "active"
    purge(board)
    assert left(board) == []


def drop_in(board: Machine, name: str, line: str) -> None:
    """One line more for the unit, or none."""
    folder = "/etc/systemd/system/edge.service.d"
    board.run("sh", "-c", f"mkdir -p {folder}; printf '[Service]\\n{line}\\n' > {folder}/{name}.conf")
    board.run("systemctl", "daemon-reload")


def engine_of(board: Machine) -> str:
    """Process id of the engine; empty where none runs."""
    return process_of(board, "edge.engin[e]")


def process_of(board: Machine, pattern: str) -> str:
    """Process id of whose command line has it; a minimal Debian has no pgrep."""
    found = board.run("sh", "-c", f"grep -lz '{pattern}' /proc/[0-9]*/cmdline", check=False)
    return found.split("/")[2] if found else ""


def signal(board: Machine, name: str, pid: str) -> None:
    """Send one; kill is the shell's own there."""
    board.run("sh", "-c", f"kill -s {name} {pid}")
