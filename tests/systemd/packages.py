"""A package built, and a Debian of its own booted for it: what the tests and the figures of packages share."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from export.download import default_cache
from tests.conftest import ROOT
from tests.systemd.machine import Machine, booted

TOOLS = ("mmdebstrap", "systemd-nspawn", "unshare", "dpkg-deb", "lintian")
RELEASES = {12: "bookworm", 13: "trixie"}
INSIDE = "python3,systemd,systemd-sysv,libstdc++6,mosquitto,mosquitto-clients"
QUESTION = {"id": "kept", "prompt": "What is the capital of France?", "max_tokens": 12, "stream": False}
ELSEWHERE = " -o ".join(f"-path /{name}" for name in ("proc", "sys", "run", "tmp", "dev", "mnt"))
FIND = rf"find / -xdev \( {ELSEWHERE} \) -prune -o -print"
OTHERS = ("/var/log/", "/var/lib/dpkg/", "/var/lib/apt/", "/var/cache/apt/", "/var/lib/mosquitto/")
"""What others keep for themselves: dpkg, the journal, the broker."""
KEPT = {"/etc/group-", "/etc/gshadow-", "/var/lib/private", "/var/cache/private"}
"""A group that was made stays; the two folders are systemd's."""


def fail_without_tools() -> None:
    """Fail a test that wants root and what boots a Debian, where either is missing."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid():
        wanted = ", ".join(missing) or "nothing else"
        pytest.fail(f"needs root and {wanted}: apt install systemd-container mmdebstrap lintian")


def debian(release: int, name: str = "debian", inside: str = INSIDE) -> Path:
    """A small Debian with Python and Mosquitto, or what else is to be inside, made once and kept in the cache."""
    root = default_cache() / f"{name}-{release}"
    if not (root / "made").is_file():
        shutil.rmtree(root, ignore_errors=True)
        options = ["--quiet", "--variant=apt", f"--include={inside}"]
        subprocess.run(["mmdebstrap", *options, RELEASES[release], str(root)], check=True)
        (root / "made").touch()
    return root


def build(release: int, into: Path) -> Path:
    """The package of the last commit for this machine's processor."""
    words = [f"--release={release}", "--architecture=amd64", f"--into={into}"]
    subprocess.run([sys.executable, "-m", "deploy.deb", *words], cwd=ROOT, check=True)
    return next(into.glob("edge-slm_*.deb"))


def newer(package: Path, folder: Path) -> Path:
    """The same package with a higher version, and another comment in its settings."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "-R", str(package), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace("Version: ", "Version: 9"))
    settings = tree / "etc/edge-slm/edge.toml"
    settings.write_text(settings.read_text() + "# newer\n")
    target = folder / "newer.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(target)], check=True)
    shutil.rmtree(tree)
    return target


def rebuilt(release: int, folder: Path) -> Path:
    """The same once more, from a clone elsewhere, by somebody with another umask in another part of the world."""
    clone = folder / "somewhere-else"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    words = [f"--release={release}", "--architecture=amd64", f"--into={folder / 'again'}"]
    command = ["sh", "-c", 'umask 077; exec "$0" "$@"', sys.executable, "-m", "deploy.deb", *words]
    environment = os.environ | {"PYTHONPATH": str(clone), "TZ": "Asia/Kathmandu", "LC_ALL": "C"}
    subprocess.run(command, cwd=clone, check=True, env=environment)
    return next((folder / "again").glob("edge-slm_*.deb"))


def findings(package: Path) -> list[str]:
    """What lintian has against a package, over all that its overrides explain."""
    command = ["lintian", "--allow-root", "--tag-display-limit=0", str(package)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [line for line in said.splitlines() if re.match(r"[EWI]: ", line)]


@contextmanager
def debian_board(release: int, packages: Path, bundle: Path, folder: Path) -> Iterator[Machine]:
    """A Debian with some packages below /mnt/packages and a bundle at /mnt/bundle; /mnt/before lists its files."""
    with booted("boot_package.sh", folder, debian(release), packages, bundle.resolve()) as machine:
        machine.run("sh", "-c", f"{FIND} > /mnt/before")
        yield machine


def ask(board: Machine, request: dict[str, object], *login: str) -> dict[str, object]:
    """One question as a stranger's program asks it; the terminal message."""
    options = ["-h", "127.0.0.1", "-V", "5", "-q", "1", "-W", "30", *login]
    topics = ["-t", "edge/board/request", "-e", "answers", "-m", json.dumps(request)]
    return dict(json.loads(board.run("mosquitto_rr", *options, *topics)))


def left(board: Machine) -> list[str]:
    """What is there now and was not before the installation."""
    now = board.run("sh", "-c", FIND).splitlines()
    before = set(board.run("cat", "/mnt/before").splitlines())
    return [path for path in now if path not in before | KEPT and not path.startswith(OTHERS)]


def purge(board: Machine) -> None:
    """After what the operator has put there; dpkg leaves that."""
    board.run("rm", "-rf", "/srv/edge-slm/bundle", "/etc/systemd/system/edge.service.d", "/etc/mosquitto/passwd")
    board.run("dpkg", "--purge", "edge-slm")
