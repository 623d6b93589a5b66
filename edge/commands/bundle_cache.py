"""`edge bundle pull`, and what `list` and `remove` say of what is not the board's: the cache, the catalogue."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.commands import bundle_made
from edge.commands.bundle_installer import installed
from edge.commands.bundle_places import Here, cache_folder, found, in_cache, pulled_store
from edge.commands.catalogue import Entry, megabytes, named, read_catalogue
from edge.commands.drafting import draft_folder
from edge.commands.logs import visible
from edge.commands.run_service import kept
from edge.config import Settings, load_settings
from edge.errors import BundleError, UsageError
from edge.store.store import act_as_owner

PROCESSES = Path("/proc")


def pull(options: argparse.Namespace) -> int:
    """Have a model's bundle in the cache: from the channel that is configured or named, else made here."""
    settings = load_settings()
    word, _, version = options.model.partition("@")
    entries = read_catalogue(options.catalogue)
    is_channel_s = bool(version or options.channel or options.repository)
    entry = _entry_or_none(word, entries) if is_channel_s else named(word, entries)
    here = None if entry is None or is_channel_s else found(entry, settings)
    if here is not None:
        print(f"{visible(here.name)} {visible(here.version)} is here already: {here.path}")
        return 0
    place = None
    if is_channel_s or settings.store.repository is not None:
        words = {"version": version, "channel": options.channel, "repository": options.repository}
        place = pulled(entry.bundle if entry else word, words, is_needed=is_channel_s)
    if place is None:
        assert entry is not None
        place = bundle_made.make(entry, settings.engine.provider, options.yes)
    print(f"{place} is whole; `edge run {visible(word)}` asks it")
    return 0


def _entry_or_none(word: str, entries: list[Entry]) -> Entry | None:
    """A channel may have bundles that no catalogue knows."""
    with suppress(UsageError):
        return named(word, entries)
    return None


def pulled(name: str, words: dict[str, str | None] | None = None, is_needed: bool = False) -> Path | None:
    """A bundle from the channel into the cache, verified as the board's installer does; its folder.

    None where the channel could not give it, which is told, unless it is needed: then EdgeError.
    """
    store = pulled_store(name)
    act_as_owner(store.folder)
    status, last = installed(name, words or {}, {"EDGE_STORE__FOLDER": str(store.folder)})
    if last.get("state") == "verified":
        return store.bundle(last["digest"])
    why = visible(str(last.get("reason", "the installer has ended without a word")))
    with suppress(OSError):
        if not store.digests:
            shutil.rmtree(store.folder)
    if is_needed or status in (130, 143):
        error = BundleError(why)
        error.status = status
        raise error
    bundle_made.tell(f"not from the channel: {why}")
    return None


def here_and_known(settings: Settings, catalogue: Path | None) -> dict[str, Any]:
    """What is in the cache, with who uses it, and what the catalogue has, for programs."""
    entries = read_catalogue(catalogue)
    cached = [{**asdict(here), "path": str(here.path), "used_by": users(here.path, settings)} for here in in_cache()]
    known = [
        {**entry.model_dump(exclude={"beside"}), "is_here": found(entry, settings) is not None} for entry in entries
    ]
    return {"cache": cached, "catalogue": known}


def lines_of(settings: Settings, catalogue: Path | None) -> Iterator[str]:
    """The same for a person."""
    seen = here_and_known(settings, catalogue)
    if seen["cache"]:
        yield f"in {cache_folder()}:"
    for here in seen["cache"]:
        used = f"  in use by {', '.join(here['used_by'])}" if here["used_by"] else ""
        called = visible(f"{here['name']} {here['version']}")
        yield f"  {called:38}  {megabytes(here['size_bytes']):>7}  {here['place']:6}  {here['path']}{used}"
    yield "to be had with `edge run` or `edge bundle pull`:"
    for entry in seen["catalogue"]:
        state = "is here" if entry["is_here"] else f"wants {entry['memory_bytes'] / 2**30:.1f} GiB of memory"
        size, aliases = megabytes(entry["bundle_bytes"]), ", ".join(entry["aliases"])
        yield f"  {entry['name']:26}  {size:>7}  {entry['licence']:10}  {state:26}  {aliases}".rstrip()


def users(folder: Path, settings: Settings) -> list[str]:
    """Who uses a bundle: settings that name it, what `edge run --keep` left, and processes that have its files open."""
    real = folder.resolve()
    named_by = {"engine.bundle": settings.engine.bundle}
    named_by |= {f"models.{name}": model.bundle for name, model in settings.models.items()}
    with suppress(BundleError):  # where there is none of this name
        if draft := draft_folder(settings):
            named_by["engine.draft"] = draft
    using = [key for key, path in named_by.items() if path.resolve().is_relative_to(real)]
    using += [f"`edge run --keep` (process {host.pid})" for host in kept() if host.bundle.is_relative_to(real)]
    return using + [f"process {number}" for number in _processes(os.fsencode(real) + b"/")]


def _processes(start: bytes) -> Iterator[int]:
    """Those that have a file mapped whose path begins so, as far as we may look."""
    for folder in sorted(PROCESSES.glob("[0-9]*")):
        with suppress(OSError):
            if start in (folder / "maps").read_bytes():
                yield int(folder.name)


def matching(word: str, entries: list[Entry]) -> list[Here]:
    """The bundles of the cache that a word means: a bundle's name or a model's, or its folder's."""
    entry = _entry_or_none(word, entries)
    names = {word.casefold(), *map(str.casefold, entry.names if entry else ())}
    return [here for here in in_cache() if here.name.casefold() in names or here.path.name == word]


def agree_to_remove(what: str, is_agreed: bool) -> None:
    """Ask a person, unless it is agreed to. UsageError where nobody agrees."""
    if not is_agreed:
        bundle_made.agree(f"remove {visible(what)}?", f"this would remove {visible(what)}; --yes agrees to that")


def remove(here: Here, settings: Settings, is_agreed: bool) -> None:
    """Delete a bundle of the cache. UsageError where somebody uses it, or nobody agrees."""
    if using := users(here.path, settings):
        raise UsageError(f"{here.path} is in use by {', '.join(using)}: end that first")
    agree_to_remove(f"{here.name} {here.version}, {megabytes(here.size_bytes)}, {here.path}", is_agreed)
    top = here.path if here.place == "made" else here.path.parents[1]
    gone = top.with_name(f".{top.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    top.rename(gone)  # whole or not at all, whatever happens to us meanwhile
    shutil.rmtree(gone)
    print(f"{visible(here.name)} {visible(here.version)} is removed from {here.path}")
