"""The clock's cap: the real helper over a tree, started as systemd starts it, which writes scaling_max_freq alone."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.board.clock import RENEW_SECONDS, Clock, steps_hertz
from edge.board.clock_helper import Caps
from edge.board.files import Files
from edge.testing import write_tree
from tests.conftest import ROOT

POLICY = "sys/devices/system/cpu/cpufreq/policy"
BIG = {"cpuinfo_min_freq": 1500000, "cpuinfo_max_freq": 2400000, "scaling_max_freq": 2400000}
LITTLE = {"cpuinfo_min_freq": 408000, "cpuinfo_max_freq": 1800000, "scaling_max_freq": 1608000}
STEPS = "1500000 1600000 1700000 1800000 2000000 2200000 2400000 \n"


def tree() -> dict[str, str]:
    """A board of two kinds of cores; the lesser ones were capped by somebody before."""
    cores = ((0, LITTLE), (4, BIG))
    numbers = {f"{POLICY}{name}/{key}": f"{value}\n" for name, its in cores for key, value in its.items()}
    return {**numbers, f"{POLICY}4/scaling_available_frequencies": STEPS}


@pytest.fixture
def root(tmp_path) -> Path:
    """Such a board."""
    return write_tree(tmp_path / "root", tree())


@dataclass
class Helper:
    """The running helper and its socket."""

    process: subprocess.Popen[bytes]
    address: Path


@pytest.fixture
def helper(root, tmp_path) -> Iterator[Helper]:
    """Its process, with the socket as its descriptor 3."""
    address = tmp_path / "clock.socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(address))
        yield from running(channel, root, address)


def running(channel: socket.socket, root: Path, address: Path, *options: str) -> Iterator[Helper]:
    """A helper on this socket, ended at last."""
    places = [f"--root={root}", f"--kept={root / 'before.json'}"]
    command = [sys.executable, "-m", "edge.board.clock_helper", *places, *options]
    begin = f"import os; os.dup2({channel.fileno()}, 3); os.execv({sys.executable!r}, {command!r})"
    process = subprocess.Popen([sys.executable, "-c", begin], pass_fds=[channel.fileno()], cwd=ROOT)
    yield Helper(process, address)
    process.kill()
    process.wait()


def caps(root: Path) -> list[int]:
    """What both kinds of cores may have, in MHz; 0 while it is being written, which in sysfs nobody sees."""
    return [int((root / f"{POLICY}{name}/scaling_max_freq").read_text() or 0) // 1000 for name in (0, 4)]


def until(root: Path, wanted: list[int]) -> None:
    """Wait for it, and say what there is where it does not come."""
    deadline = time.monotonic() + 20
    while caps(root) != wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    assert caps(root) == wanted


def test_the_steps_are_those_of_the_fastest_cores(root, tmp_path):
    """Rising, in hertz; none where the kernel lists none."""
    assert steps_hertz(Files(root))[:2] == [1_500_000_000, 1_600_000_000]
    assert steps_hertz(Files(tmp_path / "nowhere")) == []


def test_a_cap_holds_until_it_is_taken_off(root, helper):
    """No policy is raised above what it was before, or lowered below what the hardware has."""
    clock = Clock(helper.address)
    assert clock.is_there
    assert clock.cap(1_700_000_000, 0)
    until(root, [1608, 1700])
    assert clock.cap(1_200_000_000, 1)
    until(root, [1200, 1500])
    assert clock.cap(None, 2)
    until(root, [1608, 2400])


@pytest.mark.parametrize("word", [b"", b"-1", b"9" * 40, b"1e9", b"../../etc/passwd", b"\xff\xfe"])
def test_what_is_no_number_is_not_obeyed(root, helper, word):
    """It goes on, with the cap that it has."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(b"2000000", str(helper.address))
        until(root, [1608, 2000])
        channel.sendto(word, str(helper.address))
        channel.sendto(b"1800000", str(helper.address))
    until(root, [1608, 1800])
    others = {name: text for name, text in tree().items() if not name.endswith("scaling_max_freq")}
    assert all((root / name).read_text() == text for name, text in others.items())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(root, helper, number):
    """At its end everything is as it was; what was killed is made good by `--restore`, as systemd runs it."""
    Clock(helper.address).cap(1_600_000_000, 0)
    until(root, [1600, 1600])
    helper.process.send_signal(number)
    helper.process.wait()
    command = [sys.executable, "-m", "edge.board.clock_helper", f"--root={root}", f"--kept={root / 'before.json'}"]
    subprocess.run([*command, "--restore"], check=True, cwd=ROOT)
    assert caps(root) == [1608, 2400]
    assert not (root / "before.json").exists()


def test_a_daemon_that_is_silent_slows_nobody(root, tmp_path):
    """The helper is told what is new to it and what it would forget; no helper is said once a try, and is no fault."""
    address = tmp_path / "told"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(address))
        clock = Clock(address)
        for second in range(25):
            clock.cap(2_000_000_000, second)
        channel.setblocking(False)
        assert [channel.recv(16) for _ in range(3)] == [b"2000000"] * 3
        with pytest.raises(BlockingIOError):
            channel.recv(16)
    address.unlink()
    assert RENEW_SECONDS < 25
    assert not Clock(address).cap(2_000_000_000, 0)


def test_a_cap_that_nobody_renews_goes(root, tmp_path):
    """The helper makes everything as it was, and ends well."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "clock.socket"))
        for helper in running(channel, root, tmp_path / "clock.socket", "--lease-seconds=0.5"):
            Clock(helper.address).cap(1_600_000_000, 0)
            until(root, [1600, 1600])
            until(root, [1608, 2400])
            assert helper.process.wait(10) == 0


def test_what_is_no_number_keeps_no_cap(root, tmp_path):
    """However often it comes: a cap goes when no number has come for a while."""
    address = tmp_path / "clock.socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(address))
        for helper in running(channel, root, address, "--lease-seconds=1"):
            Clock(address).cap(1_600_000_000, 0)
            until(root, [1600, 1600])
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
                for _ in range(100):
                    if helper.process.poll() is not None:
                        break
                    other.sendto(b"again", str(address))
                    time.sleep(0.05)
            assert helper.process.wait(10) == 0
        assert caps(root) == [1608, 2400]


def test_cores_that_go_hold_up_no_others(root, helper):
    """A policy is gone with its cores: the others are capped and let go; one that comes later is capped, too."""
    clock = Clock(helper.address)
    clock.cap(1_600_000_000, 0)
    until(root, [1600, 1600])
    little = root / f"{POLICY}0"
    little.rename(root / "away")
    clock.cap(1_500_000_000, 1)
    big = root / f"{POLICY}4/scaling_max_freq"
    late = {f"{POLICY}6/{name}": f"{value}\n" for name, value in BIG.items()}
    deadline = time.monotonic() + 20
    while big.read_text() != "1500000\n" and time.monotonic() < deadline:
        time.sleep(0.02)
    write_tree(root, late)
    clock.cap(1_700_000_000, 2)
    while (root / f"{POLICY}6/scaling_max_freq").read_text() != "1700000\n" and time.monotonic() < deadline:
        time.sleep(0.02)
    (root / "away").rename(little)
    helper.process.send_signal(signal.SIGTERM)
    assert helper.process.wait(10) == 0
    assert caps(root) == [1608, 2400]
    assert (root / f"{POLICY}6/scaling_max_freq").read_text() == "2400000\n"


def test_cores_that_are_off_are_made_good_the_next_time(root, tmp_path):
    """The kernel refuses to write to their policy until they are on again."""
    kept, off = tmp_path / "before.json", f"{POLICY}0/scaling_max_freq"
    caps_ = Caps(root, kept)
    caps_.set(1_600_000)
    (root / off).unlink()
    (root / off).mkdir()  # EISDIR, as good as EBUSY
    caps_.restore()
    (root / off).rmdir()
    (root / off).write_text("1600000\n")
    Caps(root, kept).restore()
    assert caps(root) == [1608, 2400]
    assert not kept.exists()


def test_a_damaged_memory_stops_nobody(root, tmp_path, capfd):
    """What was before is lost with it; the helper caps what there is now, and no file outside is written."""
    (kept := tmp_path / "before.json").write_text('{"etc/passwd": 1, "')
    Caps(root, kept).set(1_600_000)
    assert "nothing is made good" in capfd.readouterr().err
    assert caps(root) == [1600, 1600]
    kept.write_text('{"etc/passwd": 1}')
    write_tree(root, {"etc/passwd": "root"})
    Caps(root, kept).restore()
    assert (root / "etc/passwd").read_text() == "root"
