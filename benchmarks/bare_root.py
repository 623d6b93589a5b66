"""The README's two commands on a bare Debian: a root made for it, nobody's user, an empty HOME.

The root holds what the README asks for (git, make, Python with its venv module) and nothing else: no broker, no
systemd, no compiler. Needs root and mmdebstrap.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = "git,make,python3,python3-venv,ca-certificates"
RELEASE = "bookworm"
USER = 1000
MOUNTS = """
mount --make-rprivate /
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/tmp"
shift
exec "$@"
"""


def measure(_bundle: Path) -> list[Figure]:
    """Exit statuses of `make demo ARGS=--once` and of `make test`, each from a fresh clone and an empty HOME."""
    with bare_root() as root:
        demo = run(root, "make demo ARGS=--once")
        test = run(root, "make test")
    return [
        Figure("bare_root_demo_exit_status", demo, "", "==", 0),
        Figure("bare_root_test_exit_status", test, "", "==", 0),
    ]


@contextmanager
def bare_root() -> Iterator[Path]:
    """A minimal Debian in a folder; RuntimeError where it cannot be made here."""
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        raise RuntimeError("root and mmdebstrap are needed: sudo apt install mmdebstrap")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(root)]
        subprocess.run(command, check=True, capture_output=True)
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", root / "etc" / name)
        yield root


def run(root: Path, command: str) -> int:
    """The exit status of a command in a fresh clone within the root, as an ordinary user."""
    home = root / "home/pi"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", ROOT, home / "edge-slm"], check=True)
    subprocess.run(["chown", "-R", f"{USER}:{USER}", home], check=True)
    variables = {"HOME": "/home/pi", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **pip_settings(root)}
    environment = [f"{name}={value}" for name, value in variables.items()]
    inside = ["env", "-i", *environment, "sh", "-c", f"cd /home/pi/edge-slm && {command}"]
    chroot = ["chroot", f"--userspec={USER}:{USER}", str(root), *inside]
    outside = ["unshare", "--mount", "sh", "-ec", MOUNTS, "sh", str(root), *chroot]
    done = subprocess.run(outside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    return done.returncode


def pip_settings(root: Path) -> dict[str, str]:
    """How pip reaches its index on this machine, as variables; a certificate goes into the root as well."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    pairs = (line.partition("=") for line in listed.stdout.splitlines())
    settings = {
        f"PIP_{name.rpartition('.')[2].upper().replace('-', '_')}": " ".join(shlex.split(value))
        for name, _, value in pairs
    }
    if certificate := settings.get("PIP_CERT"):
        place = root / certificate.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(certificate, place)
    return settings
