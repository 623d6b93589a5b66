"""`edge bundle install`, `list`, `rollback`, `remove`: the bundles of this board's store.

`list` and `remove` also look at the cache and the catalogue, where `pull` puts what it has (`bundle_cache.py`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edge.bundle import read_manifest
from edge.commands import bundle_cache
from edge.commands.bundle_installer import installed
from edge.commands.catalogue import read_catalogue
from edge.commands.logs import visible
from edge.config import load_settings
from edge.errors import BundleError, UsageError
from edge.store.record import Record
from edge.store.store import Store, act_as_owner

SHOWN = 12
"""Digits of a digest that are shown, and are enough to name a bundle."""
OVER = "a daemon that runs goes over to it by itself"


@dataclass(frozen=True)
class Row:
    """A bundle of the store, or one that was. digest: None for the operator's own. bytes: None where it is gone."""

    digest: str | None
    name: str | None
    version: str | None
    state: str
    why: str | None
    bytes: int | None


def add_arguments(actions: Any) -> None:
    """What to do with the store; `actions` is argparse's."""
    install = _action(actions, "install", "fetch a bundle from the signed repository, and verify it")
    install.add_argument("bundle", metavar="NAME[@VERSION]", help="which one (default: the channel's newest)")
    install.add_argument("--channel", help="default: store.channel")
    install.add_argument("--repository", help="a folder or an address (default: store.repository)")
    listed = _action(actions, "list", "the bundles in the store and what became of each, in the cache, and to be had")
    listed.add_argument("--json", action="store_true", help="for programs; the store's alone")
    listed.add_argument("--all", action="store_true", help="with --json: the cache's and the catalogue's, too")
    _action(actions, "rollback", "give up what is tried, or go back to what was in use before")
    pull = _action(actions, "pull", "have a model's bundle in the cache: from a channel, else made here")
    pull.add_argument("model", metavar="NAME[@VERSION]", help="a name of the catalogue, or a channel's own")
    pull.add_argument("--channel", help="default: store.channel")
    pull.add_argument("--repository", help="a folder or an address (default: store.repository)")
    removed = _action(actions, "remove", "delete a bundle that is not in use")
    removed.add_argument("bundle", metavar="DIGEST|NAME", help="its first digits in the store, or its name")
    for action in (pull, removed):
        action.add_argument("--yes", action="store_true", help="without asking")
    for action in (listed, pull, removed):
        action.add_argument("--catalogue", type=Path, metavar="FILE", help="models of your own by name, before ours")


def _action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
    return parser


def main(options: argparse.Namespace) -> int:
    """Do it; an exit status."""
    return ACTIONS[options.action](options)


def install(options: argparse.Namespace) -> int:
    """Run the installer, a process of its own, and tell what it does; its exit status."""
    name, _, version = options.bundle.partition("@")
    given = {"version": version, "channel": options.channel, "repository": options.repository}
    status, last = installed(name, given)
    if last.get("state") == "verified":
        print(_verified(last))
    else:
        why = visible(str(last.get("reason", "the installer has ended without a word")))
        print(f"edge bundle: {why}", file=sys.stderr)
    return status


def _verified(last: dict[str, Any]) -> str:
    signed = f", signed by {last['signed_by']}" if last["signed_by"] else ""
    return (
        f"{last['name']} {last['version']} is whole{signed} ({last['digest'][:SHOWN]},"
        f" {last['size_bytes'] / 1e6:.1f} MB, {last['fetched_bytes'] / 1e6:.1f} MB of it fetched).\n"
        "The daemon tries it next, and keeps it if it answers well."
    )


def show_list(options: argparse.Namespace) -> int:
    """Print what is in the store."""
    store = _store()
    rows = list(rows_of(store))
    if options.json:
        in_store, settings = [asdict(row) for row in rows], load_settings()
        others = bundle_cache.here_and_known(settings, options.catalogue) if options.all else {}
        print(json.dumps({"store": in_store, **others} if options.all else in_store, indent=1))
        return 0
    for row in rows:
        size = f"{row.bytes / 1e6:.1f} MB" if row.bytes is not None else ""
        called = f"{row.name} {row.version}" if row.name else ""
        first = f"{(row.digest or '-')[:SHOWN]:{SHOWN}}  {row.state:9}  {called:40}  {size:>10}"
        print(visible(f"{first}  {row.why or ''}".rstrip()))
    if not rows:
        print(f"{store.folder} holds no bundle; the daemon serves engine.bundle")
    for line in bundle_cache.lines_of(load_settings(), options.catalogue):
        print(line)
    return 0


def rows_of(store: Store) -> Iterator[Row]:
    """What is in use first, then what comes next, what was before, what failed; last what nobody mentions."""
    record = store.read()
    states = list(_states(record))
    mentioned = {digest for digest, _, _ in states}
    states += [(digest, "left over", None) for digest in store.digests if digest not in mentioned]
    if record != Record() or len(states) > 1:
        yield from (_row(store, *state) for state in states)


def _states(record: Record) -> Iterator[tuple[str | None, str, str | None]]:
    yield record.kept, "kept", None
    if record.tried:
        yield record.tried.digest, "tried", None
    if record.verified:
        yield record.verified, "verified", None
    yield from ((digest, "previous", None) for digest in record.previous)
    yield from ((each.digest, "failed", each.reason) for each in record.failed if each.digest not in record.digests)


def _row(store: Store, digest: str | None, state: str, why: str | None) -> Row:
    if digest is None:
        return Row(None, None, None, state, "engine.bundle, the operator's own", None)
    if not store.has(digest):
        return Row(digest, None, None, state, why or "is not there any more", None)
    name, version = _called(store, digest)
    folder = store.bundle(digest)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Row(digest, name, version, state, why, size)


def _called(store: Store, digest: str) -> tuple[str | None, str | None]:
    """As the repository calls it, else as its manifest does."""
    try:
        found = json.loads(store.index(digest).read_bytes())
        return str(found["name"]), str(found["version"])
    except (OSError, ValueError, KeyError):
        pass
    try:
        manifest = read_manifest(store.bundle(digest))
    except BundleError:
        return None, None
    return manifest.name, manifest.version


def rollback(_options: argparse.Namespace) -> int:
    """Put what was in use before into use again."""
    store = _store()
    now = store.change(partial(_gone_back, store)).kept
    called = " ".join(filter(None, _called(store, now))) if now else "engine.bundle"
    print(f"{visible(called) or now} is in use again; {OVER}")
    return 0


def _gone_back(store: Store, record: Record) -> Record:
    try:
        changed = record.gone_back(time.time())
    except ValueError as error:
        raise UsageError(f"{error}: there is nothing to go back to") from error
    if changed.kept is not None and not store.has(changed.kept):
        raise BundleError(f"what was in use before ({changed.kept[:SHOWN]}) is not there any more: install it again")
    return changed


def remove(options: argparse.Namespace) -> int:
    """Delete a bundle, and forget it."""
    store = _store()
    found = [digest for digest in store.digests if options.bundle and digest.startswith(options.bundle)]
    by_name = [] if found else [digest for digest in store.digests if _called(store, digest)[0] == options.bundle]
    cached = [] if found else bundle_cache.matching(options.bundle, read_catalogue(options.catalogue))
    if len(found) + len(by_name) + len(cached) != 1:
        raise UsageError(_why_none(options.bundle, len(found), [*by_name, *(here.path.name for here in cached)]))
    if cached:
        bundle_cache.remove(cached[0], load_settings(), options.yes)
        return 0
    if by_name:
        _without(store.read(), by_name[0])  # refused before anybody is asked
        bundle_cache.agree_to_remove(f"{options.bundle} of the store, {by_name[0][:SHOWN]}", options.yes)
    found += by_name
    with store.changing():
        store.change(lambda record: _without(record, found[0]))
        store.remove(found[0])
    print(f"{found[0][:SHOWN]} is removed")
    return 0


def _why_none(word: str, count: int, called: list[str]) -> str:
    """What a word means instead of one bundle. called: the digests or folders of those that have it for their name."""
    if called:
        return f"several bundles are called {word}: say which, {' or '.join(called)}"
    many = "several bundles begin" if count else "no bundle of the store begins"
    other = "" if count else ", and none of the cache is called so"
    return f"{many} with {word}{other}; `edge bundle list` shows them"


def _without(record: Record, digest: str) -> Record:
    if digest == record.kept or (record.tried and record.tried.digest == digest):
        raise UsageError(f"{digest[:SHOWN]} is in use: `edge bundle rollback` first, or install another")
    return record.without(digest)


def _store() -> Store:
    folder = load_settings().store.folder
    act_as_owner(folder)
    return Store(folder)


ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "install": install,
    "list": show_list,
    "rollback": rollback,
    "remove": remove,
    "pull": bundle_cache.pull,
}
