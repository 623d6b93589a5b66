"""A bundle as a repository lists it: each file in chunks that are named by their hashes.

An index is a target of the repository's TUF metadata, so that its own hash is signed; it stands for all chunks, which
lie beside the metadata as plain files. A board that has a chunk already, in whatever bundle, does not fetch it again.

    metadata/                               TUF: root, timestamp, snapshot, targets, one role a channel
    targets/<channel>/<name>/<hash>.<version>.json   the index of one bundle
    targets/<channel>/<name>/<hash>.newest.json      the same of the newest one
    chunks/<two digits>/<sha256>
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.bundle import MANIFEST, MANIFEST_BYTES_MAX, Positive, Sha256
from edge.errors import BundleError
from edge.wire.topics import LEVEL

NEWEST = "newest"
"""In place of a version."""
INDEX_BYTES_MAX = 16 << 20
CHUNK_BYTES_MAX = 8 << 20
FILES_MAX, CHUNKS_MAX = 256, 131_072
NAME_BYTES_MAX = 200
"""Of a file's name with its folders: Linux takes 255 a level, of which the name of a begun file needs some more."""
Named = Annotated[str, Field(pattern=rf"^{LEVEL.pattern}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Chunk(_Part):
    """A piece of a file."""

    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0, le=CHUNK_BYTES_MAX)]


class Indexed(_Part):
    """A file: its chunks, one after the other, make it."""

    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=0)]
    chunks: Annotated[list[Chunk], Field(max_length=CHUNKS_MAX)]

    @model_validator(mode="after")
    def _adds_up(self) -> Indexed:
        if sum(chunk.size_bytes for chunk in self.chunks) != self.size_bytes:
            raise ValueError("the chunks do not add up to the file")
        return self


class Index(_Part):
    """One bundle. digest: sha256 of its manifest.json. files: all of its files, manifest and signature among them.

    memory_floor_bytes, provider: as its manifest has them, so that a board refuses before it has fetched anything.
    """

    schema_version: Literal[1] = 1
    name: Named
    version: Named
    digest: Sha256
    provider: str
    memory_floor_bytes: Positive
    files: Annotated[dict[str, Indexed], Field(min_length=1, max_length=FILES_MAX)]

    @model_validator(mode="after")
    def _is_a_bundle(self) -> Index:
        for name in self.files:
            if not is_inside(name):
                raise ValueError(f"it names a file outside the bundle: {name!r}")
            if len(name.encode()) > NAME_BYTES_MAX:
                raise ValueError(f"a file's name has {NAME_BYTES_MAX} bytes at most, not {len(name.encode())}")
            if any(parent.as_posix() in self.files for parent in PurePosixPath(name).parents):
                raise ValueError(f"it names a file below another file: {name!r}")
        if MANIFEST not in self.files or self.files[MANIFEST].sha256 != self.digest:
            raise ValueError(f"it does not have the {MANIFEST} that it is named after")
        if not 0 < self.files[MANIFEST].size_bytes <= MANIFEST_BYTES_MAX:  # it is laid down before there is room or not
            raise ValueError(
                f"its {MANIFEST} has {self.files[MANIFEST].size_bytes} bytes, not 1 to {MANIFEST_BYTES_MAX}"
            )
        return self

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files.values())


def is_inside(name: str) -> bool:
    """Whether a file's name stays within the folder that it is laid into, however it is read."""
    path = PurePosixPath(name)
    plain = name.isprintable() and "\\" not in name and len(name) <= 255
    return plain and not path.is_absolute() and ".." not in path.parts and path.as_posix() == name and name != "."


def target(channel: str, name: str, version: str = NEWEST) -> str:
    """The TUF target path of a bundle's index."""
    return f"{channel}/{name}/{version}.json"


def parse_index(payload: bytes) -> Index:
    """An index as it came; BundleError where it is none."""
    if len(payload) > INDEX_BYTES_MAX:
        raise BundleError(f"an index has {INDEX_BYTES_MAX} bytes at most, this one {len(payload)}")
    try:
        return Index.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BundleError(
            f"the repository's index cannot be used: {field}: {first['msg'].removeprefix('Value error, ')}"
        ) from error
