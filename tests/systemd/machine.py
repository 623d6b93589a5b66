"""A systemd that was booted in a namespace, and how to speak to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ALONE = ["flock", "--close", "--timeout=240", "/run/lock/edge-slm-nspawn.lock", "unshare", "--mount", "sh"]
"""What boots one, once no other runs: two would share their control groups, and end each other's services."""
BOOTS_MAX = 3
BOOT_SECONDS = 30
OFF_SECONDS = 20
CGROUP_SECONDS = 5


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

    def comes_up(self, seconds: float) -> bool:
        """Whether systemd says in time that all of it runs."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if "running" in self.run("systemctl", "is-system-running", check=False, seconds=seconds):
                    return True
            except subprocess.TimeoutExpired:
                return False
            time.sleep(0.1)
        return False

    def turn_off(self, process: subprocess.Popen[str]) -> None:
        """As a person would; where that does not help, by its plug."""
        try:
            self.run("systemctl", "poweroff", "--force", check=False, seconds=OFF_SECONDS)
            process.wait(OFF_SECONDS)
        except subprocess.TimeoutExpired:
            unplug(process, self.pid)

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


@contextmanager
def booted(script: str, folder: Path, *words: Path) -> Iterator[Machine]:
    """One that runs, made by a script beside this file in a folder of the test; no longer there afterwards.

    One that does not come up is made again: it is this machine that fails then, and nothing of ours runs in it yet.
    AssertionError, with what each said on its console, where none does.
    """
    said = []
    for number in range(BOOTS_MAX):
        within = folder / f"machine-{number}"
        within.mkdir()
        with started(script, within, *words) as machine:
            if machine is not None and machine.comes_up(BOOT_SECONDS):
                yield machine
                return
        said.append((within / "console.log").read_text() if (within / "console.log").exists() else "it was not made")
    raise AssertionError("no machine came up:\n" + "\n--\n".join(said))


@contextmanager
def started(script: str, folder: Path, *words: Path) -> Iterator[Machine | None]:
    """A machine that may come up, None where there is none to ask; whatever became of it, it is not left behind."""
    command = [*ALONE, str(Path(__file__).with_name(script)), str(folder), *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        nspawn = process.stdout.readline().strip()
        pid = init_of(int(nspawn)) if nspawn.isdigit() else None
        machine = Machine(pid, folder / "console.log") if pid is not None else None
        try:
            yield machine
        finally:
            if machine is not None:
                machine.turn_off(process)
            else:
                unplug(process)
            remove_cgroups()


def init_of(nspawn: int) -> int | None:
    """The PID of a machine's own first process, once it is there; None where nspawn ends without one, or takes long.

    Not nspawn's first child, which is in our namespaces yet and makes that one: what is sent to it is sent to us.
    """
    until = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < until and Path(f"/proc/{nspawn}").is_dir():
        with suppress(OSError):
            for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
                if re.search(r"^NSpid:\s+\d+\s+1$", Path(f"/proc/{child}/status").read_text(), re.MULTILINE):
                    return int(child)
        time.sleep(0.02)
    return None


def unplug(process: subprocess.Popen[str], *inner: int) -> None:
    """End what boots a machine, and the machine's own processes, whatever is left of them."""
    for kill, pid in ((os.killpg, process.pid), *((os.kill, pid) for pid in inner)):
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def remove_cgroups() -> None:
    """Nspawn leaves empty cgroups behind; what was killed is a moment in them yet."""
    tops = [Path("/sys/fs/cgroup") / top for top in ("systemd", "unified", ".")]
    folders = [top / name for top in tops for name in ("payload", "supervisor")]
    until = time.monotonic() + CGROUP_SECONDS
    while any(folder.is_dir() for folder in folders) and time.monotonic() < until:
        for folder in filter(Path.is_dir, folders):
            command = ["find", str(folder), "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
        time.sleep(0.05)
