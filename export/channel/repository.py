"""A repository's folder: what is signed there, changed and published in one step.

Whatever is published has a name of its own (its version or its hash) but `timestamp.json`, which is replaced last: who
reads meanwhile, or after a power cut, has the old state whole or the new one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from edge.errors import ConfigError
from edge.store.index import NEWEST, Index, parse_index, target
from export.channel.chunks import place, write
from export.channel.keys import Keys
from export.channel.reading import COPY, read
from export.channel.roles import ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, expiry, key_of
from export.channel.writing import Signed, write_role

NUMBER = "edge-slm-number"
"""In a target's custom data: the later it was added, the higher."""


class Repository:
    """One state of it, which changes become the next by `publish`. Use `opened` or `made`."""

    def __init__(self, folder: Path, roles: dict[str, Metadata[Any]]) -> None:
        self.folder = folder
        self._roles: dict[str, Signed] = {name: each.signed for name, each in roles.items()}
        self._found = {name: (each.signed_bytes, each.signatures) for name, each in roles.items()}
        self._changed: dict[str, list[CryptoSigner]] = {}
        self._named: set[Path] = set()
        """What boards could read before the first change, where there was one."""

    # --- what there is ---

    @property
    def root(self) -> Root:
        """The keys of the top-level roles."""
        return cast("Root", self._roles[ROOT])

    @property
    def targets(self) -> Targets:
        """The channels and their keys."""
        return cast("Targets", self._roles[TARGETS])

    @property
    def channels(self) -> list[str]:
        """By name."""
        delegations = self.targets.delegations
        return sorted(delegations.roles or {}) if delegations else []

    def channel(self, name: str) -> Targets:
        """What a channel has; ConfigError where there is none of this name."""
        if name not in self.channels:
            raise ConfigError(f"{self.folder} has no channel {name!r}, but {', '.join(self.channels)}")
        return cast("Targets", self._roles[name])

    def expires(self) -> Iterator[tuple[str, Signed]]:
        """Every role's metadata, by its name."""
        yield from self._roles.items()

    def versions(self, channel: str) -> Iterator[tuple[int, Index]]:
        """The bundles of a channel, each with its number, the newest last."""
        found = [
            (_number(each), path, each)
            for path, each in self.channel(channel).targets.items()
            if not path.endswith(f"/{NEWEST}.json")
        ]
        for number, path, each in sorted(found, key=lambda entry: entry[:2]):
            yield number, self._index(path, each)

    def named(self) -> set[Path]:
        """Indices and chunks that some channel names."""
        files = set()
        for channel in self.channels:
            files |= {self._place(path, found) for path, found in self.channel(channel).targets.items()}
            for _, index in self.versions(channel):
                files |= {place(self.folder, c.sha256) for file in index.files.values() for c in file.chunks}
        return files

    def find(self, channel: str, name: str, version: str) -> Index:
        """One bundle of a channel; ConfigError where it has none such."""
        path = target(channel, name, version)
        if (found := self.channel(channel).targets.get(path)) is None:
            raise ConfigError(
                f"channel {channel} has no {name}, version {version}; `edge-channel list` shows what it has"
            )
        return self._index(path, found)

    def _index(self, path: str, found: TargetFile) -> Index:
        """ConfigError where it is not the one that was signed: it may be signed anew, or say what is still in use."""
        file = self._place(path, found)
        try:
            data = file.read_bytes()
            found.verify_length_and_hashes(data)
        except OSError as error:
            raise ConfigError(f"{file} cannot be read ({error.strerror}): {COPY}") from error
        except RepositoryError as error:
            raise ConfigError(f"{file} was altered: {COPY}") from error
        return parse_index(data)

    def _place(self, path: str, found: TargetFile) -> Path:
        whole = self.folder / "targets" / path
        return whole.with_name(f"{found.hashes['sha256']}.{whole.name}")

    # --- changes, not yet published ---

    def put(self, channel: str, index: Index, signer: CryptoSigner) -> bool:
        """A bundle into a channel, as its newest; whether it is that: one that is there already stays in its place.

        ConfigError where the version is there with another content.
        """
        held = self.channel(channel).targets
        path, payload = target(channel, index.name, index.version), index.model_dump_json().encode()
        write(self._place(path, TargetFile.from_data(path, payload, ["sha256"])), payload)  # where it was lost
        self._named = self._named or self.named()
        if path in held and self._index(path, held[path]).digest != index.digest:
            text = f"channel {channel} has another {index.name}, version {index.version}"
            raise ConfigError(f"{text}: a version never changes; take the next, or withdraw it first")
        last, newest = max((number for number, _ in self.versions(channel)), default=0), target(channel, index.name)
        number = _number(held[path]) if path in held else last + 1
        is_newest = path not in held or number == _number(held[newest])
        for each in (path, newest) if is_newest else (path,):
            self._aim(channel, each, payload, number)
        self._sign(channel, signer)
        return is_newest

    def _aim(self, channel: str, path: str, payload: bytes, number: int) -> None:
        made = TargetFile.from_data(path, payload, ["sha256"])
        made.unrecognized_fields["custom"] = {NUMBER: number}
        write(self._place(path, made), payload)
        self.channel(channel).targets[path] = made

    def withdraw(self, channel: str, name: str, version: str, signer: CryptoSigner) -> str | None:
        """A bundle out of a channel; the version that is its newest then, None where no other is left."""
        self.find(channel, name, version)
        self._named = self._named or self.named()
        held = self.channel(channel).targets
        del held[target(channel, name, version)]
        left = [(number, index) for number, index in self.versions(channel) if index.name == name]
        if left:
            number, newest = left[-1]
            self._aim(channel, target(channel, name), newest.model_dump_json().encode(), number)
        else:
            held.pop(target(channel, name), None)
        self._sign(channel, signer)
        return left[-1][1].version if left else None

    def renew(self, role: str, signer: CryptoSigner) -> None:
        """Have a role signed anew, as it is, with a later end."""
        self._sign(role, signer)

    def knows(self, name: str, signer: CryptoSigner) -> bool:
        """Whether a key signs what its name says."""
        role = SNAPSHOT if name == ONLINE else name
        above: Root | Targets = self.targets if role in self.channels else self.root
        return signer.public_key.keyid in above.get_delegated_role(role).keyids

    def exchange(self, name: str, old: CryptoSigner, new: CryptoSigner) -> None:
        """Another key for a role, or for `online`; until all boards know, what it signs is signed with both."""
        for role in (SNAPSHOT, TIMESTAMP) if name == ONLINE else (name,):
            self._sign(role, old)
            above: Root | Targets = self.targets if role in self.channels else self.root
            above.revoke_key(old.public_key.keyid, role)
            above.add_key(new.public_key, role)
            self._sign(role, new)

    def _sign(self, role: str, signer: CryptoSigner) -> None:
        if not self.knows(role, signer):
            text = f"the key {key_of(role)}.pem is not the one that signs {role} of {self.folder}"
            text = f"{text}: is it another repository's, or an old one?"
            raise ConfigError(f"{text} Where a `rotate` was broken off, run it again")
        if role not in self._changed:
            self._refuse_foreign(role, signer)
        signers = self._changed.setdefault(role, [])
        if signer.public_key.keyid not in {each.public_key.keyid for each in signers}:
            signers.append(signer)

    def _refuse_foreign(self, role: str, signer: CryptoSigner) -> None:
        """What a key signs anew it has signed as it was found: the keys that the folder names may be somebody's own."""
        data, signatures = self._found[role]
        try:
            signer.public_key.verify_signature(signatures[signer.public_key.keyid], data)
        except (KeyError, UnverifiedSignatureError) as error:
            text = f"{role} of {self.folder} as it is there was not signed with {key_of(role)}.pem: it was altered"
            raise ConfigError(f"{text}. Nothing is signed upon that; {COPY}") from error

    # --- into the world ---

    def publish(self, keys: Keys, days: int | None = None) -> list[str]:
        """Sign and write what has changed, and all that says which is the newest; the roles, in their order.

        days: until it expires, in place of the usual. The root comes last: what is signed with a new key is signed with
        the old one, too, so that whoever has either root can read it.
        """
        above = {TARGETS} & {self._above(role) for role in self._changed} if self._has_new_keys else set()
        for role in (*above, SNAPSHOT, TIMESTAMP):
            if not self._changed.get(role):
                self._sign(role, keys.signer(key_of(role)))
        if self._has_new_top_keys and not self._changed.get(ROOT):
            self._sign(ROOT, keys.signer(ROOT))
        self._date()
        order = sorted(set(self._changed) - {ROOT}, key=_order)
        for role in order:
            self._write(role, days)
        if ROOT in self._changed:
            self._write(ROOT, days)
            order.append(ROOT)
        self._changed.clear()
        return order

    def _date(self) -> None:
        """What is named no more from now on is as old as that: a board may be in the middle of fetching it (`gc`)."""
        for file in self._named - self.named() if self._named else ():
            with suppress(OSError):  # what is lost can be withdrawn, too, and who may not write may not remove
                os.utime(file)

    @property
    def _has_new_keys(self) -> bool:
        return any(len(signers) > 1 for role, signers in self._changed.items() if role in self.channels)

    @property
    def _has_new_top_keys(self) -> bool:
        return any(len(signers) > 1 for role, signers in self._changed.items() if role not in self.channels)

    def _above(self, role: str) -> str:
        return TARGETS if role in self.channels else ROOT

    def _write(self, role: str, days: int | None) -> None:
        signed = self._roles[role]
        signed.version += 1
        signed.expires = expiry(role, days)
        self._tell(role, signed.version)
        write_role(self.folder, role, signed, self._changed[role])

    def _tell(self, role: str, version: int) -> None:
        """The role above knows the version that goes with it."""
        snapshot, timestamp = self._roles[SNAPSHOT], self._roles[TIMESTAMP]
        assert isinstance(snapshot, Snapshot)
        assert isinstance(timestamp, Timestamp)
        if role == SNAPSHOT:
            timestamp.snapshot_meta = MetaFile(version)
        elif role not in (ROOT, TIMESTAMP):
            snapshot.meta[f"{role}.json"] = MetaFile(version)


def _number(found: TargetFile) -> int:
    return int((found.custom or {}).get(NUMBER, 0))


def _order(role: str) -> int:
    """Channels, targets, snapshot, timestamp."""
    return {TARGETS: 1, SNAPSHOT: 2, TIMESTAMP: 3}.get(role, 0)


def made(folder: Path, keys: Keys, channels: Sequence[str], days: int | None = None) -> Path:
    """A new repository with new keys; its first root, which boards are given. ConfigError where there is one.

    It appears by one rename. No key is made where the folder cannot be written, or one of another repository is there.
    """
    if (folder / "metadata").exists():
        raise ConfigError(f"{folder} is a repository already")
    begun = folder / ".begun"
    try:
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error.strerror})") from error
    try:
        _make(begun, keys, channels, days)
        (begun / "metadata").rename(folder / "metadata")
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    return folder / "metadata" / "1.root.json"


def _make(folder: Path, keys: Keys, channels: Sequence[str], days: int | None) -> None:
    names = (ROOT, TARGETS, ONLINE, *channels)
    if there := [f"{name}.pem" for name in names if keys.has(name)]:
        raise ConfigError(f"there are keys already, {', '.join(there)}: move them away first, or name another folder")
    signers = {name: keys.make(name) for name in names}
    root, targets, snapshot, timestamp = Root(consistent_snapshot=True), Targets(), Snapshot(), Timestamp()
    for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP):
        root.add_key(signers[key_of(role)].public_key, role)
    delegated = {name: DelegatedRole(name, [], 1, True, paths=[f"{name}/*/*.json"]) for name in channels}
    targets.delegations = Delegations({}, delegated)
    for name in channels:
        targets.add_key(signers[name].public_key, name)
        snapshot.meta[f"{name}.json"] = MetaFile(1)
    roles: dict[str, Signed] = {name: Targets() for name in channels}
    roles |= {TARGETS: targets, SNAPSHOT: snapshot, TIMESTAMP: timestamp, ROOT: root}
    for role, signed in roles.items():
        signed.expires = expiry(role, days)
        write_role(folder, role, signed, [signers[key_of(role)]])


@contextmanager
def opened(folder: Path) -> Iterator[Repository]:
    """The state that the timestamp stands for; nobody else changes it meanwhile.

    Raises ConfigError where there is none, it is not whole, or another program is at it.
    """
    metadata = folder / "metadata"
    if not (metadata / f"{TIMESTAMP}.json").is_file():
        raise ConfigError(f"{folder} is no repository: `edge-channel init {folder}` makes one")
    number = os.open(metadata, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Repository(folder, read(metadata))
    except BlockingIOError as error:
        raise ConfigError(f"another program changes {folder} just now: try again") from error
    finally:
        os.close(number)
