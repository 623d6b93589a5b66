"""A model hub's repository, at one commit, as a folder on this machine. The only file that imports huggingface_hub.

A branch may say something else tomorrow, so a commit is asked for. What is there is not asked for again, what broke
off goes on, and every large file is held to the checksum that the commit names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.bundle import hash_file
from export.errors import SourceError

WANTED = ("*.json", "*.safetensors", "*.jinja", "cl100k_base.tiktoken")
LEFT = "consolidated*.safetensors"
"""The same weights again in Mistral's own layout, which nobody here reads."""
NAME = re.compile(r"([\w.-]+/[\w.-]+)@(.+)")
COMMIT = re.compile(r"[0-9a-f]{40}")
CHECKED = ".edge-checked.json"
"""In a folder that was checked: the checksum of each large file."""


def parse(model: str) -> tuple[str, str] | None:
    """`owner/name@commit` as repository and revision, None where it is something else.

    Raises SourceError for a revision that is no full commit.
    """
    match = NAME.fullmatch(model)
    if match is None:
        return None
    repository, revision = match.groups()
    if not COMMIT.fullmatch(revision):
        raise SourceError(f"{revision} is no commit of {repository}; pin one by its 40 hexadecimal digits")
    return repository, revision


def download(repository: str, revision: str, cache: Path) -> Path:
    """The repository's config, tokenizer and safetensors at a commit, in a folder of the cache.

    Raises SourceError where they cannot be had or are not what the commit says.
    """
    folder = folder_of(repository, revision, cache)
    if not is_here(repository, revision, cache):
        sums = _fetch(repository, revision, folder, WANTED)
        wrong = {name: found for name, wanted in sums.items() if (found := hash_file(folder / name)) != wanted}
        for name in wrong:
            (folder / name).unlink()
        for name, found in wrong.items():
            raise SourceError(f"{name} of {repository} has sha256 {found}, but its commit says {sums[name]}")
        (folder / CHECKED).write_text(json.dumps(sums, indent=1), encoding="utf-8")
    return folder


def folder_of(repository: str, revision: str, cache: Path) -> Path:
    """Where a repository's files at a commit lie, or would."""
    return cache / "hub" / repository.replace("/", "--") / revision


def is_here(repository: str, revision: str, cache: Path) -> bool:
    """Whether all of them were downloaded and checked."""
    return (folder_of(repository, revision, cache) / CHECKED).is_file()


def download_config(repository: str, revision: str, cache: Path) -> Path:
    """The repository's texts alone (a few kilobytes), in a folder of their own: enough for an estimate."""
    folder = cache / "hub" / repository.replace("/", "--") / f"{revision}-texts"
    if not (folder / "config.json").is_file():
        _fetch(repository, revision, folder, ("*.json", "*.jinja"))
    return folder


def _fetch(repository: str, revision: str, folder: Path, wanted: tuple[str, ...]) -> dict[str, str]:
    """Download what is not there; the checksums that the commit has for it."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError  # type: ignore[attr-defined]  # not in its __all__

    try:
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
        snapshot_download(
            repository, revision=revision, local_dir=folder, allow_patterns=list(wanted), ignore_patterns=LEFT
        )
    except (HTTPError, LocalEntryNotFoundError, OSError) as error:
        raise SourceError(
            f"{repository} at {revision[:12]} cannot be downloaded: {_first_line(error)}; what came so far is kept,"
            " and the next run goes on from there"
        ) from error
    if info.sha != revision:
        raise SourceError(f"the hub answered with commit {info.sha} where {revision} of {repository} was asked for")
    return dict(_sums(info.siblings or [], folder))


def _sums(siblings: Sequence[object], folder: Path) -> Iterator[tuple[str, str]]:
    for sibling in siblings:
        name, large = getattr(sibling, "rfilename", ""), getattr(sibling, "lfs", None)
        if large is not None and (folder / name).is_file():
            yield name, large.sha256


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
