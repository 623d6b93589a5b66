"""A systemd that was booted in a namespace, and how to speak to it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ALONE = ["flock", "--close", "/run/lock/edge-slm-nspawn.lock", "unshare", "--mount", "sh"]
"""What boots one, once no other runs: two would share their control groups, and end each other's services."""


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


def remove_cgroups() -> None:
    """Nspawn leaves empty cgroups behind."""
    for top in ("systemd", "unified", "."):
        for name in ("payload", "supervisor"):
            folder = Path("/sys/fs/cgroup") / top / name
            if folder.is_dir():
                subprocess.run(["find", str(folder), "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], check=False)
