"""The ten kinds of bad bundles that a board must refuse: how each comes about, and what is said of it.

A harm is done to a repository whose version 1 the board has installed already, and which then has another to offer.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.bundle import MANIFEST
from edge.store.index import NEWEST, target
from tests.edge.store.boards import Board, Told
from tests.edge.store.publishing import Published, index_of, make_bundle

HUGE_BYTES = 1 << 60


@dataclass(frozen=True)
class Harm:
    """do: what is done, with a folder for new files. says: a pattern of the reason. status: the installer's."""

    do: Callable[[Published, Path], None]
    says: str
    status: int = 65


def wrong_key(repository: Published, folder: Path) -> None:
    """Somebody else's repository stands in its place."""
    other = Published(folder / "other")
    other.add(make_bundle(folder / "2", changed=2), "2")
    shutil.rmtree(repository.folder)
    other.folder.rename(repository.folder)


def expired(repository: Published, folder: Path) -> None:
    """The channel's own metadata ran out; snapshot and timestamp are fresh."""
    repository.add(make_bundle(folder / "2", changed=2), "2")
    repository.write("stable", repository.channels["stable"], "stable", days=-1)


def older(repository: Published, folder: Path) -> None:
    """The board has seen a newer state; an old one, rightly signed in its time, is laid over it."""
    shutil.copytree(repository.folder, folder / "before")
    repository.add(make_bundle(folder / "2", changed=2), "2")
    seen_by = Board(folder.parent / "board", repository.folder, repository.trusted)
    seen_by.put()
    shutil.rmtree(repository.folder)
    (folder / "before").rename(repository.folder)


def mixed(repository: Published, folder: Path) -> None:
    """An old state of the channel, under the newest one's name."""
    repository.add(make_bundle(folder / "2", changed=2), "2")
    newest = repository.channels["stable"].version
    metadata = repository.folder / "metadata"
    shutil.copy(metadata / f"{newest - 1}.stable.json", metadata / f"{newest}.stable.json")


def frozen(repository: Published, folder: Path) -> None:
    """Whoever serves it goes on serving the last timestamp."""
    repository.add(make_bundle(folder / "2", changed=2), "2")
    repository.write("timestamp", repository.timestamp, "online", days=-1)


def truncated(repository: Published, folder: Path) -> None:
    """A chunk has lost its end."""
    file = new_chunk(repository, folder)
    file.write_bytes(file.read_bytes()[:100])


def altered(repository: Published, folder: Path) -> None:
    """A bit of a chunk is another."""
    file = new_chunk(repository, folder)
    data = bytearray(file.read_bytes())
    data[50] ^= 1
    file.write_bytes(data)


def too_large(repository: Published, folder: Path) -> None:
    """No board has so much memory."""
    repository.add(make_bundle(folder / "2", changed=2, memory_floor_bytes=HUGE_BYTES), "2")


def of_another_provider(repository: Published, folder: Path) -> None:
    """It is made for CUDA."""
    repository.add(make_bundle(folder / "2", changed=2, provider="cuda"), "2")


def climbing(repository: Published, folder: Path) -> None:
    """Its manifest names a file above its folder; the index does not."""
    bundle = make_bundle(folder / "2", changed=2)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"]["../../record.json"] = manifest["files"].pop("model.onnx")
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    repository.add(bundle, "2")


HARMS = {
    "wrong key": Harm(wrong_key, "not signed with the keys that store.root stands for"),
    "expired metadata": Harm(expired, "has expired: .*stable", 75),
    "older version": Harm(older, "older than what this board has seen"),
    "mixed set": Harm(mixed, "mixed of several states"),
    "frozen channel": Harm(frozen, "has expired: timestamp.*frozen", 75),
    "truncated": Harm(truncated, "chunk [0-9a-f]{12} of model.onnx.data in .* is truncated: 100 of 4096 bytes"),
    "altered": Harm(altered, "chunk [0-9a-f]{12} of model.onnx.data in .* is altered"),
    "too large for this board": Harm(too_large, "needs 1099511627776 MiB of memory, but this board has"),
    "another provider's": Harm(of_another_provider, "made for the provider cuda, but this board's is cpu"),
    "a manifest that climbs out": Harm(climbing, "names a file outside the bundle: '../../record.json'"),
}


def climbing_index(repository: Published, folder: Path) -> None:
    """The index itself names a file above the folder."""
    index = index_of(make_bundle(folder / "2", changed=2), repository.folder / "chunks", "2")
    fields = json.loads(index.model_dump_json())
    fields["files"]["../x"] = fields["files"].pop("model.onnx")
    repository.put(index, payload=json.dumps(fields).encode())


def mixed_index(repository: Published, folder: Path) -> None:
    """Version 1's index lies where version 2's should."""
    old = repository.channels["stable"].targets[target("stable", "scripted", "1")].hashes["sha256"]
    repository.add(make_bundle(folder / "2", changed=2), "2")
    new = repository.channels["stable"].targets[target("stable", "scripted", NEWEST)].hashes["sha256"]
    place = repository.folder / "targets/stable/scripted"
    shutil.copy(place / f"{old}.1.json", place / f"{new}.{NEWEST}.json")


def of_another_name(repository: Published, folder: Path) -> None:
    """The signed index is another bundle's."""
    index = index_of(make_bundle(folder / "2", changed=2), repository.folder / "chunks", "2")
    other = index.model_copy(update={"name": "other"})
    repository.put(index, payload=other.model_dump_json().encode())


def of_canarys_key(repository: Published, folder: Path) -> None:
    """Who may publish to canary has signed stable."""
    index = index_of(make_bundle(folder / "2", changed=2), repository.folder / "chunks", "2")
    repository.signers["stable"] = repository.signers["canary"]
    repository.put(index)


def endless(repository: Published, folder: Path) -> None:
    """The timestamp goes on and on."""
    (repository.folder / "metadata/timestamp.json").write_bytes(b" " * 100_000)


def no_json(repository: Published, folder: Path) -> None:
    """The timestamp is none."""
    (repository.folder / "metadata/timestamp.json").write_bytes(b"<html>")


def growing_chunk(repository: Published, folder: Path) -> None:
    """A chunk goes on after its end."""
    file = new_chunk(repository, folder)
    file.write_bytes(file.read_bytes() + b"more")


def wrong_chunks(repository: Published, folder: Path) -> None:
    """The signed index lists chunks of another file of the same size."""
    bundle = make_bundle(folder / "2", changed=2)
    index = index_of(bundle, repository.folder / "chunks", "2")
    files = dict(index.files)
    data = files["model.onnx.data"]
    files["model.onnx.data"] = data.model_copy(update={"chunks": data.chunks[::-1]})
    repository.put(index.model_copy(update={"files": files}))


def other_floor(repository: Published, folder: Path) -> None:
    """The index says that it needs less memory than its manifest does."""
    repository.add(make_bundle(folder / "2", memory_floor_bytes=HUGE_BYTES), "2", memory_floor_bytes=1)


def fewer_files(repository: Published, folder: Path) -> None:
    """The index has a file that the manifest does not have."""
    bundle = make_bundle(folder / "2", changed=2)
    (bundle / "run.py").write_text("print()")
    repository.add(bundle, "2")


def vast_manifest(repository: Published, folder: Path) -> None:
    """The manifest is a terabyte of the same chunk, and would be fetched before anything else is looked at."""
    index = index_of(make_bundle(folder / "2", changed=2), repository.folder / "chunks", "2")
    fields = json.loads(index.model_dump_json())
    manifest = fields["files"][MANIFEST]
    manifest["chunks"] = [{**manifest["chunks"][0], "size_bytes": 8 << 20}] * 131_072
    manifest["size_bytes"] = (8 << 20) * 131_072
    repository.put(index, payload=json.dumps(fields, separators=(",", ":")).encode())


def file_below_a_file(repository: Published, folder: Path) -> None:
    """One name is a file and a folder."""
    index = index_of(make_bundle(folder / "2", changed=2), repository.folder / "chunks", "2")
    fields = json.loads(index.model_dump_json())
    fields["files"]["model.onnx/x"] = fields["files"]["model.onnx"]
    repository.put(index, payload=json.dumps(fields).encode())


def long_name(repository: Published, folder: Path) -> None:
    """A name has few characters, and more bytes than a disk takes."""
    index = index_of(make_bundle(folder / "2", changed=2), repository.folder / "chunks", "2")
    fields = json.loads(index.model_dump_json())
    fields["files"]["ü" * 250] = fields["files"]["model.onnx"]
    repository.put(index, payload=json.dumps(fields).encode())


def device(repository: Published, folder: Path) -> None:
    """A chunk on a stick is a symbolic link to what never ends."""
    file = new_chunk(repository, folder)
    file.unlink()
    file.symlink_to("/dev/zero")


MORE_HARMS = {
    "an index that climbs out": Harm(climbing_index, "names a file outside the bundle: '../x'"),
    "another version's index": Harm(mixed_index, "altered, or mixed of several states"),
    "another bundle's index": Harm(of_another_name, "scripted newest is wanted, but the repository has other 2"),
    "canary's key": Harm(of_canarys_key, "not signed with the keys"),
    "endless": Harm(endless, "sends more than it may"),
    "no JSON": Harm(no_json, "metadata that cannot be used"),
    "a chunk that goes on": Harm(growing_chunk, "model.onnx.data is altered: .* more than the 4096 bytes"),
    "wrong chunks": Harm(wrong_chunks, "are not the file that its index names"),
    "another memory floor": Harm(other_floor, "says memory_floor_bytes"),
    "another set of files": Harm(fewer_files, "names other files than the repository"),
    "a vast manifest": Harm(vast_manifest, "its manifest.json has 1099511627776 bytes"),
    "a file below a file": Harm(file_below_a_file, "names a file below another file: 'model.onnx/x'"),
    "a long name": Harm(long_name, "name has 200 bytes at most, not 500"),
    "a device": Harm(device, "is not a regular file"),
}


def new_chunk(repository: Published, folder: Path) -> Path:
    """Publish version 2; a chunk of it that version 1 does not have."""
    bundle = make_bundle(folder / "2", changed=2)
    before = set(repository.folder.glob("chunks/*/*"))
    repository.add(bundle, "2")
    sizes = {path: path.stat().st_size for path in set(repository.folder.glob("chunks/*/*")) - before}
    return max(sizes, key=lambda path: (sizes[path] == 4096, path.name))


def refused(harm: Harm, folder: Path, is_here: bool = False) -> tuple[Told, list[str], list[str]]:
    """What the installer says after a harm was done, and what the store held before and holds after.

    is_here: within this process.
    """
    repository = Published(folder / "repository")
    repository.add(make_bundle(folder / "made/1"), "1")
    root = folder / "root.json"
    shutil.copy(repository.trusted, root)
    board = Board(folder / "board", repository.folder, root)
    board.put()
    new = folder / "new"
    new.mkdir()
    harm.do(repository, new)
    before = board.left()
    told = board.install_here() if is_here else board.install()
    return told, before, board.left()
