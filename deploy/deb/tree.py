"""What a package puts on a board, laid out below a folder."""

from __future__ import annotations

import gzip
import os
import shutil
from email.utils import formatdate
from pathlib import Path

from deploy.deb.targets import Target

HOME = "usr/lib/edge-slm"
"""The virtual environment: /opt is for `make install`, whose units say so (Filesystem Hierarchy Standard 3.0, 4.7)."""
CHECKOUT_HOME = "/opt/edge-slm/venv"
UNITS = ("edge.service", "edge@.service", "edge-clock.service", "edge-clock.socket")
DROP_INS = {"edge.pi.conf": "60-pi.conf", "edge.restart.conf": "50-restart.conf"}
"""In force at once: the first does nothing where its node is not; the second is for a systemd that knows it."""
DELAYS_SINCE = 254
EXAMPLES = ("edge.clock.conf", "edge.jetson.conf", "broker-credentials.conf.example")
PAGES = (
    "README.md",
    "docs/debian.md",
    "docs/models.md",
    "docs/operator.md",
    "docs/phone.md",
    "docs/scorers.md",
    "docs/wire.md",
)
SCRIPT = """\
#!/bin/sh
exec /usr/lib/edge-slm/bin/python3 -I -m edge "$@"
"""
CONFIGURATION = """\
home = /usr/bin
include-system-site-packages = false
executable = /usr/bin/python{python}
"""
"""Of a virtual environment (site, "pyvenv.cfg")."""


def lay_out(source: Path, tree: Path, target: Target) -> None:
    """All but the wheels. source: a snapshot of the project."""
    lay_environment(tree / HOME, target)
    lay_command(tree / "usr/bin/edge")
    lay_units(source / "systemd", tree, target)
    put(source / "systemd/edge.toml.example", tree / "etc/edge-slm/edge.toml")
    put(source / "systemd/edge.sysusers.conf", tree / "usr/lib/sysusers.d/edge-slm.conf")
    put(source / "systemd/edge.tmpfiles.conf", tree / "usr/lib/tmpfiles.d/edge-slm.conf")
    lay_documents(source, tree)


def site_of(tree: Path, target: Target) -> Path:
    """Where the environment's libraries lie."""
    return tree / HOME / f"lib/python{target.python}/site-packages"


def lay_environment(home: Path, target: Target) -> None:
    """What makes a folder a virtual environment of Debian's own Python."""
    (home / "bin").mkdir(parents=True)
    (home / "pyvenv.cfg").write_text(CONFIGURATION.format(python=target.python))
    (home / "bin/python3").symlink_to(f"../../../bin/python{target.python}")
    (home / "bin/python").symlink_to("python3")


def lay_command(script: Path) -> None:
    """`edge`, which looks neither at the caller's folder nor at PYTHONPATH."""
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT)
    script.chmod(0o755)


def lay_units(source: Path, tree: Path, target: Target) -> None:
    """Units and drop-ins, with this environment for the one that `make install` makes."""
    folder = tree / "usr/lib/systemd/system"
    for name in UNITS:
        put(source / name, folder / name, (CHECKOUT_HOME, f"/{HOME}"))
    for name, as_name in DROP_INS.items():
        if name == "edge.restart.conf" and target.systemd < DELAYS_SINCE:
            continue
        for unit in ("edge.service", "edge@.service"):
            put(source / name, folder / f"{unit}.d" / as_name)


def lay_documents(source: Path, tree: Path) -> None:
    """The pages that a board's keeper wants where there is no network, and what is an example."""
    documents = tree / "usr/share/doc/edge-slm"
    for page in PAGES:
        put(source / page, documents / Path(page).name)
    for name in EXAMPLES:
        put(source / "systemd" / name, documents / "examples" / name)
    for broker in sorted((source / "deploy/mosquitto").iterdir()):
        put(broker, documents / "examples/mosquitto" / broker.name)
    put(source / "deploy/avahi/edge-assist.service", documents / "examples/avahi/edge-assist.service")
    put(source / "deploy/deb/copyright", documents / "copyright")
    put(source / "deploy/deb/lintian-overrides", tree / "usr/share/lintian/overrides/edge-slm")
    squeeze((source / "deploy/deb/edge.1").read_bytes(), tree / "usr/share/man/man1/edge.1.gz")


def lay_changelog(tree: Path, version: str, maintainer: str, second: int, package: str = "edge-slm") -> None:
    """Debian's form of it, one entry (deb-changelog(5)); what changed is in the project's own."""
    date = formatdate(second)
    text = f"{package} ({version}) unstable; urgency=medium\n\n  * Built from the sources at {date}.\n\n"
    squeeze(f"{text} -- {maintainer}  {date}\n".encode(), tree / f"usr/share/doc/{package}/changelog.gz")


def put(source: Path, target: Path, change: tuple[str, str] | None = None) -> None:
    """A text file; change: what it says, and what it is to say."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = source.read_text(encoding="utf-8")
    target.write_text(text.replace(*change) if change else text, encoding="utf-8")


def squeeze(content: bytes, target: Path) -> None:
    """Gzip's best, without name and date."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(content, 9, mtime=0))


def settle(tree: Path, second: int) -> None:
    """Modes and dates that no umask and no clock of this machine has a part in."""
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            is_open = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if is_open else 0o644)
        os.utime(path, (second, second), follow_symlinks=False)


def clear(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
