"""The virtual environment of `make demo` and `make test`: made once, from the lock file, on a bare machine.

`python3 deploy/bootstrap.py demo|test`. Uses nothing but the standard library. Says what is missing and how to get it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = {"demo": ("demo", "test"), "test": ("test",)}
"""By what is asked for, the lock files that are enough for it."""
DISK_BYTES = 1_500_000_000
MEMORY_BYTES = 900_000_000


def main(wanted: str) -> int:
    """Make the environment, unless it is there already; one setup at a time."""
    _wait_for_others()
    if any(_stamp(lock).is_file() for lock in LOCKS[wanted]):
        return 0
    for problem in (_python(), _venv_module(), _disk(), _memory()):
        if problem:
            print(f"setup: {problem}", file=sys.stderr)
            return 1
    print(f"setup: installing into {VENV} (about a minute)", end="", file=sys.stderr, flush=True)
    return _install(wanted)


def _wait_for_others() -> None:
    """Lock the clone's folder until this process ends."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("setup: waiting for another setup of this clone", file=sys.stderr, flush=True)
        fcntl.flock(folder, fcntl.LOCK_EX)


def _install(wanted: str) -> int:
    lock = ROOT / "requirements" / f"{wanted}.lock"
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    steps = (
        [sys.executable, "-m", "venv", str(VENV)],
        [*pip, "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(lock)],  # a lock names all of them
        [*pip, "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT)],
    )
    for step in steps:
        if _run(step):
            print(f"setup: this failed; the lines above say why: {' '.join(step[:4])} …", file=sys.stderr)
            print("setup: no network? A proxy goes into PIP_PROXY, a mirror into PIP_INDEX_URL.", file=sys.stderr)
            return 1
    _stamp(wanted).touch()
    print(" done", file=sys.stderr)
    return 0


def _run(step: list[str]) -> int:
    """A step's exit status; a dot every two seconds says that it goes on, its own words come when it fails."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(step, stdout=words, stderr=subprocess.STDOUT)
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
                break
            print(".", end="", file=sys.stderr, flush=True)
        if process.returncode:
            words.seek(0)
            print("\n" + words.read().decode(errors="replace"), file=sys.stderr)
        return process.returncode


def _stamp(lock: str) -> Path:
    """The file that says a lock is installed; its name changes with what the lock says."""
    content = (ROOT / "requirements" / f"{lock}.lock").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    return VENV / f".{lock}-{hashlib.sha256(content).hexdigest()[:16]}"


def _python() -> str | None:
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return None
    have = ".".join(map(str, sys.version_info[:2]))
    return f"Python 3.11 to 3.13 is needed, but python3 is {have}; pass another with `make demo PYTHON=python3.12`"


def _venv_module() -> str | None:
    try:
        import ensurepip  # noqa: F401 - Debian leaves it out of python3
        import venv  # noqa: F401 - likewise
    except ImportError:
        return "Python's venv module is missing; get it with `sudo apt install python3-venv`"
    return None


def _disk() -> str | None:
    free = shutil.disk_usage(ROOT).free
    if free >= DISK_BYTES:
        return None
    return f"{ROOT} has {free >> 20} MB of disk free, but {DISK_BYTES >> 20} MB are needed"


def _memory() -> str | None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total >= MEMORY_BYTES:
        return None
    return f"this machine has {total >> 20} MB of memory, but {MEMORY_BYTES >> 20} MB are needed"


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1]))
    except KeyboardInterrupt:
        print("\nsetup: stopped; the next run goes on from here", file=sys.stderr)
        raise SystemExit(130) from None
