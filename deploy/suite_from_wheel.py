"""The wheel that users install, in an environment that cannot see this checkout's code: every file, and the programs.

`python3 deploy/suite_from_wheel.py [pytest's arguments]`. What the wheel forgets is found here and nowhere else.
Without arguments the tests run that start programs and read data which is not Python; `tests` is the whole suite.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "wheel"
PACKAGES = ("edge/", "export/")
"""What the wheel brings; the rest of the checkout is the suite and what it looks at."""
PROGRAMS = ("tests/edge/commands", "tests/edge/mqtt/test_broker.py", "tests/export/test_pipeline.py")
FROM_THE_WHEEL = """
import edge, export, sys
for package in (edge, export):
    assert package.__file__.startswith(sys.prefix), f"{package.__file__} is not in {sys.prefix}"
"""
PIP = ["-m", "pip", "install", "--disable-pip-version-check", "--quiet"]


def main(arguments: list[str]) -> int:
    """Build, install, run; pytest's exit status."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    wheel, python, suite = built(), environment(), checkout_without_code()
    if forgotten := missing(wheel):
        print(f"{wheel.name} lacks {', '.join(forgotten)}: see [tool.setuptools] in pyproject.toml", file=sys.stderr)
        return 1
    run([python, *PIP, "--no-deps", str(wheel)])
    run([python, "-c", FROM_THE_WHEEL], cwd=suite)
    print(f"the suite against {wheel.name}, in {suite}", flush=True)
    command = [python, "-m", "pytest", "-m", "not checkout and not trace and not arm and not slow"]
    command += arguments or PROGRAMS
    return subprocess.run(command, cwd=suite, env=outside(), check=False).returncode


def built() -> Path:
    """The wheel of this checkout, made by what the lock file brings."""
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(FOLDER), str(ROOT)])
    return next(FOLDER.glob("*.whl"))


def missing(wheel: Path) -> list[str]:
    """What git tracks of our packages and the wheel has not."""
    with zipfile.ZipFile(wheel) as archive:
        brought = set(archive.namelist())
    return [name for name in run(["git", "ls-files", *PACKAGES]).split() if name not in brought]


def environment() -> str:
    """A virtual environment with everything but the project itself; its Python."""
    run([sys.executable, "-m", "venv", str(FOLDER / "venv")])
    python = str(FOLDER / "venv" / "bin" / "python")
    lock = str(ROOT / "requirements" / "test.lock")  # which names all that is needed
    run([python, *PIP, "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", lock])
    return python


def checkout_without_code() -> Path:
    """A copy of what git tracks, without what the wheel brings."""
    suite = FOLDER / "suite"
    tracked = run(["git", "ls-files", "-z"]).split("\0")
    for name in tracked:
        if name and not name.startswith(PACKAGES) and (ROOT / name).is_file():
            (suite / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, suite / name)
    return suite


def outside() -> dict[str, str]:
    """The environment without what would lead back to the checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(command: list[str], cwd: Path = ROOT) -> str:
    """A step's output; CalledProcessError where it fails, what it said before that."""
    done = subprocess.run(command, cwd=cwd, env=outside(), capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
    done.check_returncode()
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
