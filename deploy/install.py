"""`make install`: the daemon onto this board as a systemd service, from this checkout. Run it as root.

`python3 deploy/install.py [--bundle DIR] [--root DIR]`. Uses nothing but the standard library. What is configured
already stays as it is; running it again updates the program and the unit.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
UNITS = SOURCE / "systemd"
DELAYS_SINCE = 254
"""The first systemd that can wait longer before each start again (RestartSteps)."""


def main() -> int:
    """Program, unit, settings, bundle, start."""
    parser = argparse.ArgumentParser(prog="make install", description=__doc__, allow_abbrev=False)
    parser.add_argument("--bundle", type=Path, help="the bundle to put at /srv/edge-slm/bundle")
    parser.add_argument("--root", type=Path, default=Path("/"), help="install below this folder; starts nothing")
    options = parser.parse_args()
    if options.root == Path("/") and os.geteuid() != 0:
        return refuse("installing needs root: sudo make install")
    if options.bundle and not (options.bundle / "manifest.json").is_file():
        return refuse(f"{options.bundle} is not a bundle; `make bundle` or edge-export makes one")
    try:
        bundle = options.bundle or options.root / "srv/edge-slm/bundle"
        install_program(options.root / "opt/edge-slm/venv", needs_tokenizers(bundle))
    except subprocess.CalledProcessError:
        return refuse("pip failed; the lines above say why")
    install_unit(options.root)
    install_bundle(options.root / "srv/edge-slm/bundle", options.bundle)
    return start() if options.root == Path("/") else 0


def refuse(reason: str) -> int:
    """Say why not; exit status 1."""
    print(f"install: {reason}", file=sys.stderr)
    return 1


def needs_tokenizers(bundle: Path) -> bool:
    """Whether a bundle's manifest asks for the library `tokenizers`."""
    try:
        return bool(json.loads((bundle / "manifest.json").read_bytes()).get("tokenizer") == "tokenizers")
    except (OSError, ValueError, AttributeError):
        return False  # there is none, or none that the daemon could read; it says so itself


def install_program(venv: Path, with_tokenizers: bool) -> None:
    """A virtual environment with what requirements/board.lock names, and this checkout's packages.

    with_tokenizers: that library, too, without the hub client among what it depends on, which it never imports.
    """
    print(f"install: {venv} (about a minute)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [venv / "bin/python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    lock = SOURCE / "requirements/board.lock"
    subprocess.run([*pip, "--require-hashes", "--only-binary=:all:", "-r", lock], check=True)
    if with_tokenizers:
        alone = [*pip, "--no-deps", "--require-hashes", "--only-binary=:all:"]
        subprocess.run([*alone, "-r", SOURCE / "requirements/tokenizers.lock"], check=True)
    subprocess.run([*pip, "--force-reinstall", "--no-deps", "--no-build-isolation", SOURCE], check=True)


def install_unit(root: Path) -> None:
    """The unit and its folders are ours and replaced; edge.toml is the operator's and kept."""
    for name in ("edge.service", "edge@.service"):
        place(UNITS / name, root / "etc/systemd/system" / name)
    if systemd_version() >= DELAYS_SINCE:
        place(UNITS / "edge.restart.conf", root / "etc/systemd/system/edge.service.d/50-restart.conf")
    if is_raspberry_pi(root):
        place(UNITS / "edge.pi.conf", root / "etc/systemd/system/edge.service.d/60-pi.conf")
    place(UNITS / "edge.tmpfiles.conf", root / "etc/tmpfiles.d/edge.conf")
    install_clock(root)
    settings = root / "etc/edge-slm/edge.toml"
    if settings.exists():
        print(f"install: {settings} kept")
    else:
        place(UNITS / "edge.toml.example", settings)


def is_raspberry_pi(root: Path) -> bool:
    """Whether this board's firmware can be asked how it fares."""
    try:
        return (root / "proc/device-tree/model").read_bytes().startswith(b"Raspberry Pi")
    except OSError:
        return False


def systemd_version() -> int:
    """Of this machine; 0 where there is none."""
    try:
        said = subprocess.run(["systemctl", "--version"], check=False, capture_output=True, text=True).stdout
    except OSError:
        return 0
    found = re.match(r"systemd (\d+)", said)
    return int(found[1]) if found else 0


def place(source: Path, target: Path) -> None:
    """Copy a file, readable by all, with its folders."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)
    print(f"install: {target}")


def install_clock(root: Path) -> None:
    """The clock's helper and its socket; the operator turns them on (docs/operator.md), which makes the group, too."""
    for name in ("edge-clock.socket", "edge-clock.service"):
        place(UNITS / name, root / "etc/systemd/system" / name)
    place(UNITS / "edge.sysusers.conf", root / "etc/sysusers.d/edge.conf")


def install_bundle(target: Path, bundle: Path | None) -> None:
    """Beside, then renamed, so that no half-copied bundle is ever served."""
    if bundle is None:
        if not target.exists():
            print(f"install: no bundle yet; copy one to {target}, or run again with ARGS='--bundle DIR'")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside, old = target.with_suffix(".new"), target.with_suffix(".old")
    for leftover in (beside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(bundle, beside)
    beside.chmod(0o755)
    if target.exists():
        target.rename(old)
    beside.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    print(f"install: {target}")


def start() -> int:
    """Load the unit and start it where systemd runs; the exit status of that."""
    if not Path("/run/systemd/system").is_dir():
        print("install: systemd does not run here; nothing was started")
        return 0
    subprocess.run(["systemd-tmpfiles", "--create", "/etc/tmpfiles.d/edge.conf"], check=True)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "enable", "edge"], check=True)
    print("install: starting; READY comes after the model's first answer", flush=True)
    return subprocess.run(["systemctl", "restart", "edge"], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
