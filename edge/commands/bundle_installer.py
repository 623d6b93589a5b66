"""The installer as a process of its own (`python -m edge.store install`), and what it tells meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge.commands.streams import progress


def installed(
    name: str, given: Mapping[str, str | None], settings: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Run it, and show how far it is; its exit status and the last that it said, empty where that is nothing.

    given: `version`, `channel` and `repository`, each where it is not the usual. settings: by their variables' names.
    """
    words = [sys.executable, "-m", "edge.store", "install", "--", name]
    whole = {**given, "repository": _whole(given.get("repository"))}
    words[-2:-2] = [f"--{key}={value}" for key, value in whole.items() if value]
    environment = {**os.environ, **(settings or {})}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            last = _told(process.stdout)
        finally:
            progress("")
            process.terminate()  # who ended us means it, too
    return process.returncode, last


def _whole(repository: str | None) -> str | None:
    """A folder's whole path; an address as it is."""
    is_folder = repository is not None and "://" not in repository
    return str(Path(repository).absolute()) if repository and is_folder else repository


def _told(lines: Iterator[str]) -> dict[str, Any]:
    """Show how far the installer is; its last line."""
    last: dict[str, Any] = {}
    for line in lines:
        last = json.loads(line)
        if last["state"] == "downloading":
            done, total = (last[key] / 1e6 for key in ("done_bytes", "total_bytes"))
            progress(f"{done:.1f} of {total:.1f} MB in place ({done / total:.0%})")
        elif last["state"] == "verifying":
            progress("verifying")
    return last
