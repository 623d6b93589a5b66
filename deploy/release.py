"""`make release`: packages for Debian, wheel and sources for pip, a bill of materials, and the sums of all, in dist/.

On a tag it is a release, and edge/__init__.py must say the tag's version; between tags it is a snapshot of the commit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy import sbom, versions
from deploy.deb.__main__ import BUILD, built
from deploy.deb.targets import TARGETS
from deploy.deb.wheels import fetch, wanted

SUMS = "SHA256SUMS"
CHECKER = ["cyclonedx-python-lib[json-validation]>=11,<12"]
"""In an environment of its own: neither the daemon nor the suite wants it."""
CHECK = """
import pathlib, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(pathlib.Path(sys.argv[1]).read_text())
sys.exit(f"{sys.argv[1]}: {wrong}" if wrong else 0)
"""


def main() -> int:
    """Exit status 1 where something cannot be made, or the tag is not what the program says."""
    parser = argparse.ArgumentParser(prog="make release", description=__doc__, allow_abbrev=False)
    parser.add_argument("--into", type=Path, default=versions.ROOT / "dist", help="an empty folder, or none yet")
    options = parser.parse_args()
    version = versions.of_checkout()
    if problem := refused(version, options.into):
        print(f"release: {problem}", file=sys.stderr)
        return 1
    options.into.mkdir(parents=True, exist_ok=True)
    try:
        make(version, options.into)
    except subprocess.CalledProcessError as error:
        print(f"release: this failed; the lines above say why: {' '.join(map(str, error.cmd[:4]))} …", file=sys.stderr)
        return 1
    print((options.into / SUMS).read_text(), end="")
    return 0


def refused(version: versions.Version, into: Path) -> str:
    """Why nothing is made; empty where it can be."""
    said = versions.said_by(versions.ROOT)
    if version.is_release and said != version.python:
        return f"the tag says {version.python} and {versions.INIT} says {said}: make them one"
    if into.is_dir() and any(into.iterdir()):
        return f"{into} is not empty: a release is what was made at once; `rm -r {into}`"
    return ""


def make(version: versions.Version, into: Path) -> None:
    """All files, the sums last. CalledProcessError where a step fails."""
    for package in built(TARGETS, into):
        print(f"release: {package.name}", file=sys.stderr, flush=True)
    second = versions.epoch()
    with tempfile.TemporaryDirectory() as name:
        source = versions.snapshot(Path(name) / "source", version)
        command = [sys.executable, "-m", "hatchling", "build", "-d", str(into.resolve())]
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(second)}
        subprocess.run(command, cwd=source, check=True, env=environment, stdout=subprocess.DEVNULL)
    bill = into / f"edge-slm_{version.deb}.cdx.json"
    bill.write_text(json.dumps(bill_of(version, second), indent=1) + "\n", encoding="utf-8")
    check(bill)
    files = sorted(path for path in into.iterdir() if path.name != SUMS)
    (into / SUMS).write_text("".join(f"{digest(path)}  {path.name}\n" for path in files), encoding="utf-8")


def bill_of(version: versions.Version, second: int) -> dict[str, object]:
    """Of all targets together."""
    wheels = [wheel for target in TARGETS for wheel in fetch(versions.ROOT, target, BUILD / f"wheels-{target.name}")]
    entries = [entry for target in TARGETS for entry in wanted(versions.ROOT, target)]
    hashes = {sbom.purl(name, number): re.findall(r"sha256:(\w+)", found) for name, number, found in entries}
    return sbom.bill(version, wheels, hashes, second)


def check(bill: Path) -> None:
    """Hold it to the schema of its version."""
    folder = versions.ROOT / "build/sbom-venv"
    python = str(folder / "bin/python")
    if not (folder / "ready").is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *CHECKER], check=True)
        (folder / "ready").touch()
    subprocess.run([python, "-c", CHECK, str(bill)], check=True)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
