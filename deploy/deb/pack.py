"""One file of what was laid out: the control files, then dpkg-deb."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from deploy.deb.targets import Target

MAINTAINER = "Edge SLM maintainers <edge-slm@example.org>"
SCRIPTS = ("postinst", "prerm", "postrm")
DEPENDS = "python{0.python}, libc6 (>= 2.{0.glibc}), libgcc-s1, libstdc++6, zlib1g, systemd (>= {0.systemd})"
"""What every Debian has, and its Python."""
CONTROL = """\
Package: edge-slm
Version: {version}
Architecture: {target.architecture}
Maintainer: {maintainer}
Installed-Size: {kibibytes}
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: {depends}
Suggests: mosquitto, mosquitto-clients
Section: net
Priority: optional
Description: small language models answering over MQTT, with no cloud
 A daemon for a Raspberry Pi, a Jetson or any small Linux box: it takes prompts
 from MQTT topics, answers several at once from an INT4 ONNX model on the board
 itself, and tells how hot, how full and how busy the board is.
 .
 Everything but Python is inside, so that a board without internet installs it.
 It is for Debian {target.release} and its Python {target.python}. A model comes apart, as a bundle.
"""


def pack(source: Path, tree: Path, target: Target, version: str, second: int, into: Path) -> Path:
    """The package. source: a snapshot of the project; tree: what it installs, settled; second: what it is dated."""
    package = into / f"edge-slm_{version}_{target.architecture}.deb"
    control = described(target, version, kibibytes(tree))
    return close(tree, control, source / "deploy/deb/control", second, package)


def close(tree: Path, described: str, scripts: Path, second: int, package: Path) -> Path:
    """Any package. described: its control file; scripts: a folder with what dpkg runs."""
    control = tree / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(described)
    (control / "conffiles").write_text("".join(f"/{each}\n" for each in settings(tree)))
    (control / "md5sums").write_text("".join(sums(tree)))
    for name in SCRIPTS:
        shutil.copyfile(scripts / name, control / name)
    for path in [control, *control.iterdir()]:
        path.chmod(0o755 if path.is_dir() or path.name in SCRIPTS else 0o644)
        os.utime(path, (second, second))
    os.utime(tree, (second, second))
    package.parent.mkdir(parents=True, exist_ok=True)
    # A step further makes it a twentieth smaller in twice the time, for who builds and for the board.
    # As many threads everywhere, since several cut the blocks otherwise than one.
    how = ["--root-owner-group", "--threads-max=2", "-Zxz", "-z0"]
    command = ["dpkg-deb", *how, "--build", str(tree), str(package)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(second)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return package


def kibibytes(tree: Path) -> int:
    """What is installed."""
    return sum(-(-path.lstat().st_size // 1024) for path in tree.rglob("*"))


def described(target: Target, version: str, kibibytes: int) -> str:
    """The control file (deb-control(5)). kibibytes: installed."""
    fields = {"version": version, "target": target, "maintainer": MAINTAINER, "kibibytes": kibibytes}
    return CONTROL.format(**fields, depends=DEPENDS.format(target))


def settings(tree: Path) -> list[Path]:
    """What dpkg asks about before it replaces it (dpkg's conffiles)."""
    return sorted(path.relative_to(tree) for path in (tree / "etc").rglob("*") if path.is_file())


def sums(tree: Path) -> list[str]:
    """A line a file that is no setting, for `dpkg --verify` (deb-md5sums(5))."""
    kept = set(settings(tree))
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    names = [path.relative_to(tree) for path in files]
    digests = (hashlib.md5((tree / name).read_bytes(), usedforsecurity=False).hexdigest() for name in names)
    lines = zip(digests, names, strict=True)
    return [f"{digest}  {name}\n" for digest, name in lines if name not in kept and name.parts[0] != "DEBIAN"]
