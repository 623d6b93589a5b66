"""A repository's metadata read again, to be changed: only what was signed by whom it must be.

Whoever publishes signs what lies in the folder anew. Somebody who can write there, as on a NAS, but has no key, must
not get a signature for what he has put in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from edge.errors import ConfigError
from export.channel.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP

COPY = "put back a copy that is whole, as the one boards read"


def read(folder: Path) -> dict[str, Metadata[Any]]:
    """Each role's metadata in the state that the timestamp stands for. Expiry is not looked at: it can be signed anew.

    Raises ConfigError naming the file that cannot be read, or that was signed by nobody who may.
    """
    root = _root(folder)
    timestamp = _signed(folder / f"{TIMESTAMP}.json", TIMESTAMP, root.signed)
    assert isinstance(timestamp.signed, Timestamp)
    number = timestamp.signed.snapshot_meta.version
    snapshot = _signed(folder / f"{number}.{SNAPSHOT}.json", SNAPSHOT, root.signed, number)
    assert isinstance(snapshot.signed, Snapshot)
    numbers = {name.removesuffix(".json"): meta.version for name, meta in snapshot.signed.meta.items()}
    found = {ROOT: root, TIMESTAMP: timestamp, SNAPSHOT: snapshot}
    for role in sorted(numbers, key=lambda role: role != TARGETS):
        above: Root | Targets = root.signed if role == TARGETS else found[TARGETS].signed
        found[role] = _signed(folder / f"{numbers[role]}.{role}.json", role, above, numbers[role])
    return found


def _root(folder: Path) -> Metadata[Root]:
    """The last one, each signed with the keys of the one before it, too."""
    names = [file.name.removesuffix(f".{ROOT}.json") for file in folder.glob(f"*.{ROOT}.json")]
    numbers = sorted(int(name) for name in names if name.isdecimal())  # a channel may be called `new.root`
    if not numbers:
        raise ConfigError(f"{folder} has no root metadata: {COPY}")
    root: Metadata[Root] | None = None
    for number in numbers:
        file = folder / f"{number}.{ROOT}.json"
        after = _load(file)
        for above in (root or after, after):
            _refuse_unsigned(file, ROOT, after, above.signed, number)
        root = after
    assert root is not None
    return root


def _signed(file: Path, role: str, above: Root | Targets, number: int | None = None) -> Metadata[Any]:
    found = _load(file)
    _refuse_unsigned(file, role, found, above, number)
    return found


def _refuse_unsigned(
    file: Path, role: str, found: Metadata[Any], above: Root | Targets, number: int | None = None
) -> None:
    """ConfigError where it is another role's, of another version, or not signed with keys that the role above names."""
    kind = {ROOT: Root, SNAPSHOT: Snapshot, TIMESTAMP: Timestamp}.get(role, Targets)
    try:
        if not isinstance(found.signed, kind) or number not in (None, found.signed.version):
            raise ValueError("it is another file's content")
        above.verify_delegate(role, found.signed_bytes, found.signatures)
    except (RepositoryError, ValueError) as error:
        raise ConfigError(f"{file} was altered: {error}. Nothing is signed upon that; {COPY}") from error


def _load(file: Path) -> Metadata[Any]:
    try:
        return Metadata.from_bytes(file.read_bytes())
    except (OSError, RepositoryError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
