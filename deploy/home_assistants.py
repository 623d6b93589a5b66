"""`make ha-test`: releases of Home Assistant, each in an environment of its own below .venv-ha.

`python deploy/home_assistants.py PYTHON [RELEASE…]`; all that are proved where none is named.

From 2025.5 on they ask for Python 3.13.2, from 2026.3 on for 3.14; those below run on 3.13.0 as well, and are told to.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

RELEASES = ("2025.4.4", "2025.12.5", "2026.2.3")
"""The last of before `default_entity_id`, one in which it is new, and the newest that Python 3.13 runs."""
INTEGRATIONS = ("mqtt", "wyoming", "assist_satellite", "assist_pipeline", "conversation", "tts", "ffmpeg")
"""That are set up. Each names in its manifest, with their versions, what it would install at its first start."""
MANIFESTS = "lib/python*/site-packages/homeassistant/components"
PYENV = ".pyenv/versions/3.13.*/bin/python3.13"
FOLDER = Path(__file__).resolve().parent.parent / ".venv-ha"


def main(python: str, *releases: str) -> int:
    """Make those that are missing. python: a Python 3.13 by name or path. Exit status 1 where there is none."""
    found = next(filter(runs, (shutil.which(python), *map(str, Path.home().glob(PYENV)))), None)
    if found is None:
        print(f"{python} is not there; Home Assistant wants Python 3.13: make ha-test HA_PYTHON=PATH", file=sys.stderr)
        return 1
    return max(made(found, FOLDER / release, f"homeassistant=={release}") for release in releases or RELEASES)


def runs(python: str | None) -> bool:
    """Whether it is a Python, and not what pyenv puts in the place of one that is not chosen."""
    return python is not None and not subprocess.run([python, "--version"], capture_output=True, check=False).returncode


def made(python: str, folder: Path, requirement: str) -> int:
    """One environment, with what its integrations want beside it; pip's exit status, 0 where all is there already."""
    ready, wanted = folder / "ready", " ".join(INTEGRATIONS)
    if ready.is_file() and ready.read_text() == wanted:
        return 0
    if not ready.is_file():
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    status = installed(folder, requirement) or installed(folder, *beside(folder))
    if status == 0:
        ready.write_text(wanted)
    return status


def installed(folder: Path, *requirements: str) -> int:
    """Put packages into an environment; pip's exit status."""
    install = ["install", "--disable-pip-version-check", "--quiet", "--ignore-requires-python", *requirements]
    return subprocess.run([str(folder / "bin" / "python"), "-m", "pip", *install], check=False).returncode


def beside(folder: Path) -> list[str]:
    """What the integrations want, as this release pins it."""
    (components,) = folder.glob(MANIFESTS)
    manifests = (json.loads((components / name / "manifest.json").read_text()) for name in INTEGRATIONS)
    return sorted({each for manifest in manifests for each in manifest.get("requirements", [])})


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
