"""One bundle from the repository into the store: what must be so before a byte of it is fetched, and before it is kept.

    trusted index → refused early, or not → its manifest → the rest, chunk by chunk → who signed it → whole: it appears

A power cut at any moment leaves the store as it was, and what was fetched is used when the installation is begun again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge.board.memory import total_bytes
from edge.bundle import MANIFEST, SIGNATURE, Manifest, hash_file, open_bundle, read_manifest
from edge.config import Settings
from edge.errors import BundleError, ConfigError, EdgeError, UsageError
from edge.store.chunks import Laying, Old
from edge.store.fetch import Repository, repository_at
from edge.store.index import NEWEST, Index, is_inside, parse_index
from edge.store.signature import read_signers, verify_folder
from edge.store.store import Store
from edge.store.trust import Trust
from edge.wire.topics import LEVEL

Told = Callable[[str, int, int], None]
"""Called with `downloading` or `verifying`, the bytes of the bundle that are in place, and all of its bytes."""


@dataclass(frozen=True)
class Wish:
    """Which bundle. version: NEWEST for the channel's newest. is_again: also where it was rolled back here before."""

    name: str
    channel: str
    version: str = NEWEST
    is_again: bool = True


@dataclass(frozen=True)
class Installed:
    """A bundle that is whole and in the store. fetched_bytes: of chunks. signed_by: None where nobody asked for it."""

    digest: str
    name: str
    version: str
    size_bytes: int
    fetched_bytes: int
    signed_by: str | None


def install(wish: Wish, settings: Settings, told: Told, clock: Callable[[], float] = time.time) -> Installed:
    """Install a bundle; it is then to be tried (`Record.verified`).

    Raises BundleError saying why it is refused, and leaves nothing of it behind; where that passes, what was fetched
    stays for the next time. ConfigError where a setting is wrong, StartError where another installation runs.
    """
    repository, store = _repository(wish, settings), Store(settings.store.folder)
    with store.changing():
        payload = _payload(wish, settings, repository, store, clock)
        index = parse_index(payload)
        refuse_early(index, wish, settings, store)
        store.clean(keep=index.digest)
        done = _there(index, store, settings) or _fetched(index, payload, repository, store, settings, told)
        store.change(lambda record: record.to_be_tried(index.digest))
        store.pruned()
    return done


def latest(wish: Wish, settings: Settings, clock: Callable[[], float] = time.time) -> Index:
    """What the repository has for a wish, by its metadata; no bundle is fetched. Raises as `install` does."""
    repository, store = _repository(wish, settings), Store(settings.store.folder)
    with store.changing():
        return parse_index(_payload(wish, settings, repository, store, clock))


def _repository(wish: Wish, settings: Settings) -> Repository:
    for what, given in (("channel", wish.channel), ("name", wish.name), ("version", wish.version)):
        if not LEVEL.fullmatch(given):
            raise UsageError(f"{given!r} cannot be a {what}: letters, digits, '.', '_' and '-' make one, 64 at most")
    if settings.store.repository is None:
        raise ConfigError("store.repository is not set: name the folder or the address that bundles come from")
    return repository_at(settings.store.repository)


def _payload(wish: Wish, settings: Settings, repository: Repository, store: Store, clock: Callable[[], float]) -> bytes:
    """The index, as the repository's keys have signed it."""
    store.make(store.folder / "tuf")
    trust = Trust(repository, store.folder / "tuf", settings.store.root, clock)
    return trust.index(wish.channel, wish.name, wish.version)


def refuse_early(index: Index, wish: Wish, settings: Settings, store: Store) -> None:
    """What an index alone tells. BundleError where the bundle would not run here, or is not what was wished for."""
    if index.name != wish.name or wish.version not in (NEWEST, index.version):
        text = f"{wish.name} {wish.version} is wanted, but the repository has {index.name} {index.version}"
        raise BundleError(f"{text} in its place: have it published again")
    called = f"{index.name} {index.version}"
    if index.provider != settings.engine.provider:
        text = f"{called} is made for the provider {index.provider}, but this board's is {settings.engine.provider}"
        raise BundleError(f"{text}: publish one for it, or set engine.provider")
    board_bytes = total_bytes(settings.telemetry.root)
    if board_bytes is not None and index.memory_floor_bytes > board_bytes:
        need, have = (f"{value / 2**20:.0f} MiB" for value in (index.memory_floor_bytes, board_bytes))
        raise BundleError(f"{called} needs {need} of memory, but this board has {have} in all: take a smaller one")
    if settings.store.signers is not None:
        if SIGNATURE not in index.files:
            raise BundleError(
                f"nobody signed {called}, and store.signers asks for it: `edge-channel sign`, then publish"
            )
        read_signers(settings.store.signers)
    if not wish.is_again and (why := store.read().why_not(index.digest)):
        raise BundleError(f"{called} was rolled back on this board: {why}")


def _there(index: Index, store: Store, settings: Settings) -> Installed | None:
    """What is in the store already; None where it is not, or is damaged: then what is whole of it is used again.

    So it is where it was signed anew: the manifest, and with it the digest, does not name the signature.
    """
    folder, wanted = store.bundle(index.digest), index.files.get(SIGNATURE)
    try:
        open_bundle(folder, settings.engine.provider)
        if settings.store.signers and wanted and hash_file(folder / SIGNATURE) != wanted.sha256:
            return None
    except (BundleError, FileNotFoundError):
        return None
    return _installed(index, 0, _signed_by(folder, settings))


def _fetched(
    index: Index, payload: bytes, repository: Repository, store: Store, settings: Settings, told: Told
) -> Installed:
    folder = store.incoming(index.digest)
    store.make(folder)
    try:
        laying = Laying(index, folder, repository, list(_old(store, settings)), partial(told, "downloading"))
        laying.file(MANIFEST)
        _refuse_other(read_manifest(folder), index)
        laying.rest(make_room=partial(store.pruned, keep={index.digest}))
        told("verifying", index.size_bytes, index.size_bytes)
        signed_by = _signed_by(folder, settings)
        open_bundle(folder, settings.engine.provider, verify_hashes=False)  # each file's hash was that of the index
        store.commit(index.digest, payload)
    except (EdgeError, OSError) as error:
        if not (isinstance(error, EdgeError) and error.passes):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return _installed(index, laying.fetched_bytes, signed_by)


def _refuse_other(manifest: Manifest, index: Index) -> None:
    """BundleError where the manifest says otherwise than the index, which a board has believed so far."""
    outside = next((name for name in manifest.files if not is_inside(name)), None)
    if outside is not None:
        raise BundleError(f"the manifest of {index.name} names a file outside the bundle: {outside!r}")
    listed = {name: (file.sha256, file.size_bytes) for name, file in index.files.items()}
    named = {name: (file.sha256, file.size_bytes) for name, file in manifest.files.items()}
    if named != {name: found for name, found in listed.items() if name not in (MANIFEST, SIGNATURE)}:
        raise BundleError(f"the manifest of {index.name} names other files than the repository: publish it again")
    for key in ("name", "provider", "memory_floor_bytes"):
        if getattr(manifest, key) != getattr(index, key):
            text = f"the manifest of {index.name} says {key} {getattr(manifest, key)}, the repository"
            raise BundleError(f"{text} {getattr(index, key)}: publish it again")


def _signed_by(folder: Path, settings: Settings) -> str | None:
    return None if settings.store.signers is None else verify_folder(folder, settings.store.signers)


def _old(store: Store, settings: Settings) -> Iterator[Old]:
    """The bundles whose parts may be used again: the store's, and the operator's own."""
    for digest in store.digests:
        try:
            index = parse_index(store.index(digest).read_bytes())
        except (BundleError, OSError):
            continue
        yield Old(store.bundle(digest), {name: file.sha256 for name, file in index.files.items()}, index)
    try:
        manifest = read_manifest(settings.engine.bundle)
    except BundleError:
        return
    yield Old(settings.engine.bundle, {name: file.sha256 for name, file in manifest.files.items()}, is_ours=False)


def _installed(index: Index, fetched_bytes: int, signed_by: str | None) -> Installed:
    return Installed(index.digest, index.name, index.version, index.size_bytes, fetched_bytes, signed_by)
