"""The bundle that guesses for the one that answers: where it lies, and what it takes beside it."""

from __future__ import annotations

from pathlib import Path

from edge.bundle import MANIFEST, Bundle, open_bundle, read_manifest
from edge.config import Settings
from edge.errors import BundleError

BESIDE_MAX = 64
"""Folders that are looked at for a name."""


def draft_folder(settings: Settings) -> Path | None:
    """Where `engine.draft` lies; None where nothing drafts.

    A name is that of a table in `[models]`, else of a bundle, or its folder, where `engine.bundle` lies. BundleError
    where there is none.
    """
    named = settings.engine.draft
    if not named:
        return None
    if "/" in named:
        return Path(named).expanduser()
    if named in settings.models:
        return settings.models[named].bundle
    parent = settings.engine.bundle.absolute().parent
    for file in sorted(parent.glob(f"*/{MANIFEST}"))[:BESIDE_MAX]:
        if named == file.parent.name or named == _name_of(file.parent):
            return file.parent
    raise BundleError(f"engine.draft: there is no bundle {named} in [models] or in {parent}: write its folder's path")


def _name_of(folder: Path) -> str | None:
    try:
        return read_manifest(folder).name
    except BundleError:
        return None


def draft_of(settings: Settings) -> Bundle | None:
    """The bundle of `engine.draft`, whole as far as sizes tell, or None. BundleError for a bad one."""
    folder = draft_folder(settings)
    if folder is None:
        return None
    try:
        return open_bundle(folder, settings.engine.provider, verify_hashes=False)
    except BundleError as error:
        raise BundleError(f"engine.draft: {error}", passes=error.passes) from error


def draft_bytes(settings: Settings) -> int:
    """What it takes beside the bundle that answers: its own memory floor, a text of its whole context with it."""
    draft = draft_of(settings)
    return 0 if draft is None else draft.manifest.memory_floor_bytes
