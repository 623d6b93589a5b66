"""`python -m deploy.deb`: packages of the last commit for each Debian and processor, and the kiosk's, below dist/.

What git does not know is left out, and so told. Needs git, dpkg-deb and the project's environment (`make deb`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy import versions
from deploy.deb import kiosk, pack, tree, wheels
from deploy.deb.targets import PROCESSORS, TARGETS, Target

BUILD = versions.ROOT / "build/deb"
NOT_FOR_BOARDS = ("export/",)
"""Of the project's own wheel: the exporter wants what no board has."""


def main() -> int:
    """Exit status 1 where a package cannot be made."""
    parser = argparse.ArgumentParser(prog="make deb", description=__doc__, allow_abbrev=False)
    parser.add_argument("--release", type=int, choices=[12, 13], help="of Debian (default: both)")
    parser.add_argument("--architecture", choices=list(PROCESSORS), help="of the board (default: both)")
    parser.add_argument("--version", help="Debian's, without +deb12 (default: by git's tags)")
    parser.add_argument("--into", type=Path, default=versions.ROOT / "dist", help="folder of the packages")
    options = parser.parse_args()
    chosen = [
        target
        for target in TARGETS
        if options.release in (None, target.release) and options.architecture in (None, target.architecture)
    ]
    if left := versions.left_out():
        print(f"deb: {left} files differ from the last commit, which is what is built", file=sys.stderr)
    try:
        for package in built(chosen, options.into, options.version):
            print(f"deb: {package} ({package.stat().st_size / 1e6:.1f} MB)", flush=True)
    except subprocess.CalledProcessError as error:
        print(f"deb: this failed; the lines above say why: {' '.join(map(str, error.cmd[:4]))} …", file=sys.stderr)
        return 1
    return 0


def built(targets: list[Target], into: Path, number: str | None = None) -> Iterator[Path]:
    """A package each, and the kiosk's. number: Debian's version, for who tries an upgrade; else git's."""
    version, second = versions.of_checkout(), versions.epoch()
    with tempfile.TemporaryDirectory() as name:
        source = versions.snapshot(Path(name) / "source", version)
        own = project_wheel(source, Path(name), second)
        for target in targets:
            folder = tree.clear(BUILD / target.name)
            fill(source, own, folder, target)
            full = f"{number or version.deb}+deb{target.release}"
            tree.lay_changelog(folder, full, pack.MAINTAINER, second)
            tree.settle(folder, second)
            yield pack.pack(source, folder, target, full, second, into)
        yield kiosk.build(source, tree.clear(BUILD / kiosk.NAME), number or version.deb, second, into)


def fill(source: Path, own: Path, folder: Path, target: Target) -> None:
    """Lay out everything, the wheels last."""
    tree.lay_out(source, folder, target)
    site = tree.site_of(folder, target)
    wheels.unpack(own, site, NOT_FOR_BOARDS)
    for wheel in wheels.fetch(source, target, BUILD / f"wheels-{target.name}"):
        wheels.unpack(wheel, site)


def project_wheel(source: Path, into: Path, second: int) -> Path:
    """The project's own, from a snapshot, dated."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(second)}
    subprocess.run([*command, f"--wheel-dir={into}", str(source)], check=True, env=environment)
    return next(into.glob("edge_slm-*.whl"))


if __name__ == "__main__":
    raise SystemExit(main())
