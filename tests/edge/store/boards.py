"""A board with a store, and the installer that it runs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.config import load_settings
from edge.store.__main__ import main
from edge.store.index import NEWEST
from edge.store.install import Wish, install
from edge.store.store import Store
from tests.conftest import ROOT

INSTALLER = [sys.executable, "-m", "edge.store", "install"]
PASSING = {"tuf", "lock", "record.lock", "incoming", "bundles"}
"""What a store may hold before and after anything."""


@dataclass
class Told:
    """What the installer said, and how it ended."""

    status: int
    lines: list[dict[str, Any]]
    errors: str

    @property
    def last(self) -> dict[str, Any]:
        """Verified, or why not."""
        return self.lines[-1]


class Board:
    """A board, the repository that it is told of, and the root that it trusts. settings: more variables."""

    def __init__(self, folder: Path, repository: str | Path, root: Path, **settings: str) -> None:
        self.store = Store(folder / "store")
        self.environment = {
            "EDGE_STORE__FOLDER": str(self.store.folder),
            "EDGE_STORE__REPOSITORY": str(repository),
            "EDGE_STORE__ROOT": str(root),
            "EDGE_ENGINE__BUNDLE": str(folder / "none"),
            **settings,
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the installer."""
        return subprocess.Popen(
            [*INSTALLER, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **self.environment},
        )

    def install(self, name: str = "scripted", *options: str) -> Told:
        """Run the installer to its end."""
        with self.start(name, *options) as process:
            said, errors = process.communicate()
        return Told(process.returncode, [json.loads(line) for line in said.splitlines()], errors)

    def install_here(self, name: str = "scripted", *options: str) -> Told:
        """The same within this process, which is quicker."""
        return self.do("install", name, *options)

    def do(self, *words: str) -> Told:
        """Any action of the installer, within this process."""
        before, said = dict(os.environ), io.StringIO()
        os.environ.update(self.environment)
        try:
            with contextlib.redirect_stdout(said):
                status = main([*words])
        finally:
            os.environ.clear()
            os.environ.update(before)
        return Told(status, [json.loads(line) for line in said.getvalue().splitlines()], "")

    def put(self, version: str = NEWEST) -> str:
        """Install a version within this process, which is quicker; its digest."""
        names = {"folder": "FOLDER", "repository": "REPOSITORY", "root": "ROOT"}
        given = {key: self.environment[f"EDGE_STORE__{name}"] for key, name in names.items()}
        settings = load_settings(store=given, engine={"bundle": self.environment["EDGE_ENGINE__BUNDLE"]})
        return install(Wish("scripted", "stable", version), settings, lambda *_: None).digest

    def install_killed(self, after_seconds: float, name: str = "scripted") -> bool:
        """Kill the installer some time after its start; whether it still ran."""
        with self.start(name) as process:
            try:
                process.communicate(timeout=after_seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                return True
        return False

    def left(self) -> list[str]:
        """What lies in the store beside locks and what the repository said of itself."""
        found = [path.relative_to(self.store.folder).as_posix() for path in self.store.folder.rglob("*")]
        return sorted(name for name in found if name not in PASSING and not name.startswith("tuf/"))
