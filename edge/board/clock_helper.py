"""`python -m edge.board.clock_helper`: root's side of the clock's cap, which can write `scaling_max_freq` and no more.

Started by systemd at the first datagram (sd_listen_fds(3)). Each has a number of kilohertz, 0 for no cap. No number for
LEASE_SECONDS, or a signal: everything is as it was, and it ends. What was before is in a file until then, so that one
that was killed is made good by the next, or by `--restore`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path, PurePosixPath

from edge.board.clock import LEASE_SECONDS, POLICIES
from edge.board.files import ABSENT, Files

LISTENING = 3
"""The descriptor that systemd hands over."""
WORD_BYTES = 16


class Caps:
    """`scaling_max_freq` of every policy below a root folder. kept: the file of what was there before.

    A policy comes and goes with its cores (admin-guide/pm/cpufreq.rst): each is looked for at each word, and what
    cannot be done to one is done to the others all the same.
    """

    def __init__(self, root: Path, kept: Path) -> None:
        self._files, self._kept = Files(root), kept
        self._before = before(kept)

    def set(self, kilohertz: int) -> None:
        """No policy above this, or above what it was before; 0 as it was. Never below what the hardware has."""
        self._look()
        for name, most in self._before.items():
            least = self._files.count(str(PurePosixPath(name).with_name("cpuinfo_min_freq"))) or most
            self._write(name, min(most, max(least, kilohertz)) if kilohertz else most)

    def restore(self) -> None:
        """Everything as it was. Of cores that are off just now the policy says no; that is kept for the next time."""
        left = {name: most for name, most in self._before.items() if not self._write(name, most)}
        if left:
            self._keep(left)
        else:
            self._kept.unlink(missing_ok=True)

    def _look(self) -> None:
        """Keep what a policy had when it was seen first; in the file, whole, before anything is changed."""
        names = self._files.names(POLICIES, "policy*/scaling_max_freq")
        found = {name: count for name in names if name not in self._before and (count := self._files.count(name))}
        if found:
            self._before |= found
            self._keep(self._before)

    def _keep(self, found: dict[str, int]) -> None:
        partial = self._kept.with_suffix(".partial")
        partial.write_text(json.dumps(found))
        partial.replace(self._kept)

    def _write(self, name: str, kilohertz: int) -> bool:
        """Whether it is so now, or there is no such policy any more. No file is made."""
        try:
            descriptor = os.open(self._files.root / name, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                os.write(descriptor, f"{kilohertz}\n".encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            return error.errno in ABSENT
        return True


def before(kept: Path) -> dict[str, int]:
    """What one that was killed has left to be made good: policies' files, and kilohertz; nothing where nothing is."""
    try:
        return {name: int(most) for name, most in json.loads(kept.read_text()).items() if name.startswith(POLICIES)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        print(f"{kept} cannot be read, so that nothing is made good: {error}", file=sys.stderr)
        return {}


def main() -> int:
    """Caps until nobody asks any more."""
    parser = argparse.ArgumentParser(prog="edge.board.clock_helper", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--root", type=Path, default=Path("/"), help="where /sys is looked for")
    parser.add_argument("--kept", type=Path, default=Path("/run/edge-clock/before.json"), help="what was before")
    parser.add_argument("--lease-seconds", type=float, default=LEASE_SECONDS, help="how long a word holds")
    parser.add_argument("--restore", action="store_true", help="make good what a killed one has left, and end")
    options = parser.parse_args()
    if options.restore and not options.kept.is_file():
        return 0
    caps = Caps(options.root, options.kept)
    try:
        if not options.restore:
            serve(caps, options.lease_seconds)
    finally:
        caps.restore()
    return 0


def serve(caps: Caps, lease_seconds: float) -> None:
    """Each word that comes; until none has come for a while, or a signal."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with socket.socket(fileno=LISTENING) as channel, contextlib.suppress(TimeoutError):
        until = time.monotonic() + lease_seconds
        while True:
            channel.settimeout(max(0.001, until - time.monotonic()))
            word = channel.recv(WORD_BYTES)
            if word.isdigit() and len(word) < WORD_BYTES:
                caps.set(int(word))
                until = time.monotonic() + lease_seconds


if __name__ == "__main__":
    raise SystemExit(main())
