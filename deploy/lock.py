"""`make lock`: resolve pyproject.toml into the lock files, with hashes for every platform we support."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS: dict[str, list[str]] = {"test": ["export", "test"], "demo": ["export"], "board": []}
"""The widest first: the others are held to its versions."""
BUILD = "hatchling>=1.27,<2\neditables>=0.5,<1\n"
"""What an editable install builds with, since it is done without build isolation."""


def main() -> int:
    """Write requirements/*.lock; needs uv (`pip install uv`)."""
    folder = ROOT / "requirements"
    (folder / "build.in").write_text(BUILD, encoding="utf-8")
    for name, extras in EXTRAS.items():
        command = [
            "uv",
            "pip",
            "compile",
            "pyproject.toml",
            "requirements/build.in",
            "--universal",
            "--generate-hashes",
        ]
        command += ["--python-version=3.11", "--no-emit-index-url", "--no-header", "--no-annotate", "--quiet"]
        command += [f"--extra={extra}" for extra in extras]
        command += ["--output-file", f"requirements/{name}.lock"]
        if name != "test":
            command += ["--constraint", "requirements/test.lock"]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
