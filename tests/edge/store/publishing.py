"""A signed repository of bundles made with python-tuf alone, so that a board is not held to our own tool.

Layout and schema are those of `edge/store/index.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
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

from edge.bundle import MANIFEST, File, hash_file
from edge.store.index import NEWEST, Chunk, Index, Indexed, target
from edge.testing import scripted_manifest

CHUNK_BYTES = 4096
Cut = Callable[[Path], list[int]]
"""The sizes of a file's chunks."""


class Published:
    """A repository in a folder. days: until its metadata expires; below 0 it has."""

    def __init__(self, folder: Path, channels: tuple[str, ...] = ("stable", "canary"), days: float = 30) -> None:
        self.folder, self.days = folder, days
        self.signers = {role: CryptoSigner.generate_ed25519() for role in ("root", "online", "targets", *channels)}
        self.root, self.targets = Root(consistent_snapshot=True), Targets()
        self.snapshot, self.timestamp = Snapshot(), Timestamp()
        for role, signer in (("root", "root"), ("targets", "targets"), ("snapshot", "online"), ("timestamp", "online")):
            self.root.add_key(self.signers[signer].public_key, role)
        self.channels = {channel: Targets() for channel in channels}
        roles = {name: DelegatedRole(name, [], 1, True, paths=[f"{name}/*/*.json"]) for name in channels}
        self.targets.delegations = Delegations({}, roles)
        for channel in channels:
            self.targets.add_key(self.signers[channel].public_key, channel)
        self.snapshot.meta.update({f"{channel}.json": MetaFile(1) for channel in channels})
        self.write("root", self.root, "root")
        self.write("targets", self.targets, "targets")
        for channel, targets in self.channels.items():
            self.write(channel, targets, channel)
        self.write("snapshot", self.snapshot, "online")
        self.write("timestamp", self.timestamp, "online")

    @property
    def trusted(self) -> Path:
        """What a board is given."""
        return self.folder / "metadata/1.root.json"

    def add(self, bundle: Path, version: str, channel: str = "stable", cut: Cut | None = None, **changes: Any) -> Index:
        """Publish a bundle; changes: of its index."""
        index = index_of(bundle, self.folder / "chunks", version, cut, **changes)
        self.put(index, channel)
        return index

    def put(self, index: Index, channel: str = "stable", payload: bytes | None = None) -> None:
        """Publish an index as a version and as the newest. payload: in its place, for one that is no index."""
        data = index.model_dump_json().encode() if payload is None else payload
        for version in (index.version, NEWEST):
            path = target(channel, index.name, version)
            self.channels[channel].targets[path] = TargetFile.from_data(path, data, ["sha256"])
            file = self.folder / "targets" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            (file.parent / f"{hashlib.sha256(data).hexdigest()}.{file.name}").write_bytes(data)
        self.release(channel)

    def release(self, channel: str) -> None:
        """Sign a channel anew, and all that says which is the newest."""
        role = self.channels[channel]
        role.version += 1
        self.write(channel, role, channel)
        self.snapshot.meta[f"{channel}.json"].version = role.version
        self.refresh()

    def refresh(self) -> None:
        """Sign snapshot and timestamp anew."""
        self.snapshot.version += 1
        self.write("snapshot", self.snapshot, "online")
        self.timestamp.snapshot_meta.version = self.snapshot.version
        self.timestamp.version += 1
        self.write("timestamp", self.timestamp, "online")

    def write(
        self, name: str, role: Root | Targets | Snapshot | Timestamp, signer: str, days: float | None = None
    ) -> None:
        """Sign a role with somebody's key."""
        until = datetime.now(UTC) + timedelta(days=self.days if days is None else days)
        role.expires = until.replace(microsecond=0)
        metadata: Metadata[Any] = Metadata(role)
        metadata.sign(self.signers[signer])
        prefix = "" if name == "timestamp" else f"{role.version}."
        file = self.folder / "metadata" / f"{prefix}{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(metadata.to_bytes())


def index_of(bundle: Path, chunks: Path, version: str, cut: Cut | None = None, **changes: Any) -> Index:
    """A bundle in chunks."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    files = {
        path.relative_to(bundle).as_posix(): indexed(path, chunks, cut)
        for path in sorted(bundle.rglob("*"))
        if path.is_file()
    }
    fields = {
        "name": manifest["name"],
        "version": version,
        "digest": files[MANIFEST].sha256,
        "provider": manifest["provider"],
        "memory_floor_bytes": manifest["memory_floor_bytes"],
        "files": files,
    }
    return Index.model_validate({**fields, **changes})


def evenly(path: Path) -> list[int]:
    """Chunks of one size."""
    size = path.stat().st_size
    return [min(CHUNK_BYTES, size - start) for start in range(0, size, CHUNK_BYTES)]


def indexed(path: Path, chunks: Path, cut: Cut | None = None) -> Indexed:
    """A file, its chunks laid into the repository."""
    listed, data, start = [], path.read_bytes(), 0
    for size in (cut or evenly)(path):
        piece = data[start : start + size]
        sha256 = hashlib.sha256(piece).hexdigest()
        file = chunks / sha256[:2] / sha256
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(piece)
        listed.append(Chunk(sha256=sha256, size_bytes=len(piece)))
        start += size
    return Indexed(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), chunks=listed)


def make_bundle(folder: Path, seed: int = 0, layers: int = 8, changed: int | None = None, **fields: Any) -> Path:
    """A bundle of random bytes: layers of eight chunks each. changed: the layer that is another's."""
    folder.mkdir(parents=True)
    pieces = [layer_bytes(seed + 1000 if layer == changed else seed, layer) for layer in range(layers)]
    (folder / "model.onnx.data").write_bytes(b"".join(pieces))
    (folder / "model.onnx").write_bytes(b"graph" * 100)
    (folder / "tokenizer.json").write_text('{"some": "words"}' * 1000)
    write_manifest(folder, **fields)
    return folder


def layer_bytes(seed: int, layer: int) -> bytes:
    """The same for the same numbers."""
    state = hashlib.sha256(f"{seed} {layer}".encode())
    return hashlib.shake_128(state.digest()).digest(8 * CHUNK_BYTES)


def write_manifest(folder: Path, **fields: Any) -> None:
    """A manifest that names all that is in a folder."""
    names = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST]
    files = {
        path.relative_to(folder).as_posix(): File(sha256=hash_file(path), size_bytes=path.stat().st_size)
        for path in names
    }
    manifest = scripted_manifest(**{"name": "scripted", "files": files, **fields})
    (folder / MANIFEST).write_text(manifest.model_dump_json())
