"""`make lock`: resolve pyproject.toml into the lock files, with hashes for every platform we support."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS: dict[str, list[str]] = {
    "test": ["export", "test"],
    "demo": ["assist", "documents", "export", "http", "live", "upstream"],
    "board": ["assist", "fleet", "http", "upstream"],
}
"""The widest first: the others are held to its versions."""
ALONE = "tokenizers"
"""What a board installs without what it depends on, where a bundle needs it: that is a hub client."""
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
            "--no-strip-extras",  # pip wants hashes of `pydantic[email]` by that name
        ]
        command += ["--python-version=3.11", "--no-emit-index-url", "--no-header", "--no-annotate", "--quiet"]
        command += [f"--extra={extra}" for extra in extras]
        command += ["--output-file", f"requirements/{name}.lock"]
        if name != "test":
            command += ["--constraint", "requirements/test.lock"]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            return 1
    (folder / f"{ALONE}.lock").write_text(entry_of((folder / "test.lock").read_text(encoding="utf-8"), ALONE))
    return 0


def entry_of(lock: str, name: str) -> str:
    """A package's version and hashes in a lock file, for an installation of it alone."""
    found = re.search(rf"^{name}==.*?(?=^\S|\Z)", lock, re.DOTALL | re.MULTILINE)
    assert found, name
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
