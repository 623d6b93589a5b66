"""A bundle on disk: the manifest's schema, and `open_bundle`, which believes nothing that it has not checked.

A bundle is a folder: `manifest.json` beside what onnxruntime-genai loads. This file is the whole contract
between the export, which writes bundles, and the daemon, which reads them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, BinaryIO, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import BundleError

SCHEMA: Literal[1] = 1
MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
"""Beside the manifest, where its maker signed all other files (OpenSSF Model Signing); not in the manifest itself."""
GRAPH, WEIGHTS = "model.onnx", "model.onnx.data"
"""The decoder, and the weights of all graphs."""
VISION, EMBEDDING = "vision.onnx", "embedding.onnx"
"""Of a bundle that sees pictures: its tower, and what puts pictures among words."""
MANIFEST_BYTES_MAX = 4 << 20
COPY = "copy the bundle again"
Progress = Callable[[str, int], None]
"""Called with a file's name and the bytes of it just checked."""

Provider = Literal["cpu", "cuda"]
"""An execution provider that a bundle is made for."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Part):
    """A file of the bundle."""

    sha256: Sha256
    size_bytes: Count


class Quantization(_Part):
    """How the weights are stored.

    method: gptq, rtn, or kept where every layer has the source's own blocks.
    matrices_kept: how many are the source's own blocks, embedding and head among them.
    bits: of most matrices; overrides: of those that differ, by module name.
    """

    method: str
    matrices_kept: Count = 0
    bits: Positive
    block_size: Positive
    is_symmetric: bool
    accuracy_level: Count
    overrides: dict[str, Positive] = {}
    bits_per_weight: Annotated[float, Field(gt=0)]


class Origin(_Part):
    """What the bundle was made from."""

    name: str
    revision: str
    sha256: Sha256
    licence: str


class Calibration(_Part):
    """The text that the quantisation looked at, and how many pictures."""

    name: str
    tokens: Count
    sha256: Sha256
    pictures: Count = 0


class Pictures(_Part):
    """How pictures are cut for a bundle that sees them.

    crop_size: pixels of a crop's side. side_tokens: tokens of a crop's side. crops_max: crops of one picture.
    mean, std: of red, green and blue, 0 to 1, which pixels are reckoned from.
    """

    crop_size: Positive
    side_tokens: Positive
    crops_max: Positive
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Sampling(_Part):
    """How tokens are chosen where a request does not say, as the model's makers would have it; greedy by default.

    temperature: 0 is greedy. top_k: 0 for off. top_p, min_p: 0 to 1. repetition_penalty: 1 for off.
    """

    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Count = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0


class Golden(_Part):
    """A question that the bundle must answer as it did where it was made, before a board keeps it.

    contains: what its greedy answer has somewhere, whatever its case and its spaces.
    """

    prompt: Annotated[str, Field(min_length=1, max_length=4096)]
    contains: Annotated[str, Field(min_length=1, max_length=1024)]
    max_tokens: Annotated[int, Field(gt=0, le=256)] = 32

    def is_in(self, answer: str) -> bool:
        """Whether an answer has what it must."""
        return "".join(self.contains.split()).casefold() in "".join(answer.split()).casefold()


class Manifest(_Part):
    """`manifest.json`.

    context_length: tokens of prompt and answer together. kv_cache: what keys and values are remembered in.
    kv_bytes_per_token: what they take.
    memory_floor_bytes: what must be free to load the weights and answer with a full context.
    rope_switch_length: texts of more tokens have other rotary factors, 0 where none have; a prompt that reaches
        past it is read in one piece, since its first tokens need the other factors, too.
    pictures: None for a bundle that reads text alone. tokenizer: what reads its tokenizer.json rightly.
    fidelity: what the quantisation lost, figure by figure; empty where it was not measured.
    held_to: whose own forward pass this kind of checkpoint was compared with by the export's tests, as
        `transformers 5`; empty for a kind that none of them has.
    golden: what it is asked where it is tried on a board.
    """

    schema_version: Literal[1] = SCHEMA
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    version: str
    family: str
    provider: Provider
    capabilities: list[Literal["text", "vision", "json_schema"]]
    quantization: Quantization
    context_length: Positive
    vocab_size: Positive
    stop_token_ids: Annotated[list[int], Field(min_length=1)]
    chat_template: Annotated[str, Field(min_length=1)]
    tokenizer: Literal["onnxruntime-genai", "tokenizers"] = "onnxruntime-genai"
    sampling: Sampling = Sampling()
    weights_bytes: Positive
    kv_cache: Literal["float32", "float16", "int8"] = "float32"
    kv_bytes_per_token: Positive
    memory_floor_bytes: Positive
    origin: Origin
    rope_switch_length: Count = 0
    pictures: Pictures | None = None
    calibration: Calibration | None = None
    fidelity: dict[str, float] = {}
    held_to: list[str] = []
    golden: Annotated[list[Golden], Field(max_length=32)] = []
    files: dict[str, File]


@dataclass(frozen=True)
class Bundle:
    """A bundle that was opened: its folder and its manifest."""

    path: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """sha256 of the manifest, in hex; names the bundle, since the manifest holds every file's hash."""
        return hashlib.sha256((self.path / MANIFEST).read_bytes()).hexdigest()


class Verified(Protocol):
    """Which files were found before to be what a manifest says; edge.board.verified.VerifiedFiles is the real one."""

    def holds(self, status: os.stat_result, sha256: str) -> bool:
        """Whether a file with this status had this hash, and cannot have changed since."""
        ...

    def note(self, status: os.stat_result, sha256: str) -> None:
        """A file with this status has this hash."""


def open_bundle(
    path: Path,
    provider: str = "cpu",
    memory_bytes: int | None = None,
    verify_hashes: bool = True,
    progress: Progress | None = None,
    board_bytes: int | None = None,
) -> Bundle:
    """Open the bundle at a path after checking everything about it.

    provider: the execution provider it will run on. memory_bytes: what the board has free; None skips that check.
    verify_hashes: False compares sizes alone; `check_hashes` does the rest later. board_bytes: its memory in all.
    Raises BundleError naming the file and both figures, found and expected; it passes where the folder is not there
    (yet), a file cannot be read now, or the memory is taken by others.
    """
    manifest = read_manifest(path)
    _check_files(path, manifest)
    if verify_hashes:
        check_hashes(path, manifest, progress)
    if manifest.provider != provider:
        text = f"{path} is a bundle for the provider {manifest.provider}, but {provider} is configured"
        raise BundleError(f"{text}: set engine.provider, or export another")
    if memory_bytes is not None and memory_bytes < manifest.memory_floor_bytes:
        raise _no_room(path, manifest.memory_floor_bytes, memory_bytes, board_bytes)
    return Bundle(path, manifest)


def _no_room(path: Path, floor: int, free: int, board: int | None) -> BundleError:
    """Memory that others have taken may be free later; a board that is too small stays so."""
    need, have = (f"{value / 2**20:.0f} MiB" for value in (floor, free))
    text = f"{path} needs {need} of free memory, but this board has {have}"
    if board is None or board >= floor:
        return BundleError(f"{text} now: stop what else runs here, or take a smaller bundle", passes=True)
    return BundleError(f"{text}, and {board / 2**20:.0f} MiB in all: take a smaller bundle")


def read_manifest(path: Path) -> Manifest:
    """Parse a bundle's manifest; BundleError where it is missing, too large or not of this schema."""
    file = path / MANIFEST
    try:
        size = _size_of(file)
        if size > MANIFEST_BYTES_MAX:
            raise BundleError(f"{file} has {size} bytes; a manifest has {MANIFEST_BYTES_MAX} at most")
        return Manifest.model_validate_json(file.read_bytes())
    except OSError as error:
        if _is_place_for_a_disk(path):
            raise BundleError(
                f"{path} is not a bundle: there is nothing; is its disk mounted, and is it the right folder?",
                passes=True,
            ) from error
        if not path.exists():
            raise BundleError(f"{path} is not a bundle: there is no such folder; correct engine.bundle") from error
        raise BundleError(f"{path} is not a bundle: {file.name} {_why(error)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the JSON text"
        if field == "schema_version":
            text = f"{file} has schema version {first['input']}, but this daemon reads {SCHEMA}"
            raise BundleError(f"{text}: export the bundle anew") from error
        raise BundleError(f"{file}: {field}: {first['msg']}; {COPY}") from error


def _is_place_for_a_disk(path: Path) -> bool:
    """Whether it is an empty folder, or would lie in one, as where a disk is mounted later."""
    there = next((each for each in (path, *path.absolute().parents) if each.is_dir()), None)
    try:
        return there is not None and not any(there.iterdir())
    except OSError:
        return False


def _size_of(file: Path) -> int:
    """Of a regular file; anything else, as a FIFO, might be waited for for ever."""
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise BundleError(f"{file} is not a regular file; {COPY}")
    return found.st_size


def _check_files(path: Path, manifest: Manifest) -> None:
    """The files that the manifest names are there in their sizes, and no other."""
    for name, entry in manifest.files.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise BundleError(f"{path / MANIFEST} names a file outside the bundle: {name}")
        try:
            size = _size_of(path / name)
        except FileNotFoundError as error:
            raise BundleError(f"{path / name} is missing (expected {entry.size_bytes} bytes); {COPY}") from error
        except OSError as error:
            raise BundleError(f"{path / name} {_why(error)}") from error
        if size != entry.size_bytes:
            raise BundleError(f"{path / name} has {size} bytes, but the manifest says {entry.size_bytes}; {COPY}")
    extra = sorted(set(_files_of(path)) - {*manifest.files, MANIFEST, SIGNATURE})
    if extra:
        raise BundleError(f"{path / extra[0]} is not in the manifest ({len(extra)} files too many): remove it")


def _why(error: OSError) -> str:
    """Why a file cannot be read, and what to do."""
    advice = {errno.ENOENT: COPY, errno.EACCES: "`chmod -R a+rX` lets the daemon read it"}
    return f"cannot be read ({error.strerror}); {advice.get(error.errno or 0, 'look at its disk')}"


def _files_of(path: Path) -> Iterator[str]:
    for folder, _, names in os.walk(path):
        for name in names:
            yield (Path(folder) / name).relative_to(path).as_posix()


def check_hashes(
    path: Path, manifest: Manifest, progress: Progress | None = None, verified: Verified | None = None
) -> None:
    """Every file of a bundle has the hash that its manifest says; BundleError with both where one has not.

    verified: whose files are not read again, and who is told of those that were.
    """
    for name, entry in manifest.files.items():
        told = partial(progress, name) if progress else None
        try:
            _check_hash(path / name, entry, told, verified)
        except OSError as error:
            raise BundleError(f"{path / name} {_why(error)}") from error


def _check_hash(file: Path, entry: File, progress: Callable[[int], None] | None, verified: Verified | None) -> None:
    with file.open("rb") as opened:
        before = os.fstat(opened.fileno())
        if verified is not None and verified.holds(before, entry.sha256):
            if progress:
                progress(entry.size_bytes)
            return
        found = _hash(opened, progress)
        after = os.fstat(opened.fileno())
    if found != entry.sha256:
        raise BundleError(f"{file} has sha256 {found}, but the manifest says {entry.sha256}; {COPY}")
    if verified is not None and (before.st_size, before.st_ctime_ns) == (after.st_size, after.st_ctime_ns):
        verified.note(before, found)


def hash_file(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """A file's sha256 in hex, read in pieces."""
    with path.open("rb") as file:
        return _hash(file, progress)


def _hash(file: BinaryIO, progress: Callable[[int], None] | None) -> str:
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):  # a tenth of a second of a slow SD card, after which a start can be stopped
        digest.update(piece)
        if progress:
            progress(len(piece))
    return digest.hexdigest()
