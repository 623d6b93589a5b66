"""Packages with entry points, as an installer leaves them in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_package(folder: Path, module: str, code: str, scorers: Mapping[str, str]) -> Path:
    """A module, and the metadata by which its scorers are found. scorers: what is in the module, by their names."""
    info = folder / f"{module}-1.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    lines = "".join(f"{name} = {module}:{attribute}\n" for name, attribute in scorers.items())
    (info / "entry_points.txt").write_text(f"[edge.scorers]\n{lines}")
    return folder
