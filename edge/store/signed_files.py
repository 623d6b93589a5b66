"""Whether a folder holds the files that were signed, as they were signed, and no other.

OpenSSF Model Signing v1.0, sections 6.1 to 6.3 and 8.4.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from edge.errors import BundleError
from edge.store.statement import ITSELF, Signed

HASHES: dict[str, Callable[[], Any]] = {"sha256": hashlib.sha256, "blake2b": hashlib.blake2b}
IGNORED = frozenset({".git", ".gitignore", ".gitattributes", ".github"})
"""Never signed (section 6.2)."""
BLOCK_BYTES = 1 << 20


def check_files(model: Path, signature: Path, signed: Signed) -> None:
    """A model's files are those that were signed. model: a folder, or a single file. signature: is no part of it.

    Raises BundleError naming the file that is missing, too much, or another. As the specification has it, an empty file
    that nobody signed is not seen where a signature is over pieces of files.
    """
    if signed.hash_type not in HASHES:
        text = f"its files were hashed with {signed.hash_type}, which is not computed here"
        raise BundleError(f"{text}: have it signed over sha256")
    seen = set()
    for name, path in _files(model, signature, signed):
        for piece, start, end in _pieces(name, path, signed.shard_size_bytes):
            if piece not in signed.digests:
                raise BundleError(f"{piece!r} is in {model}, but nobody signed it: remove it, or have it signed")
            if _digest(path, start, end, signed.hash_type) != signed.digests[piece]:
                raise BundleError(f"{piece!r} in {model} is not what was signed: it was altered, or is damaged")
            seen.add(piece)
    if missing := sorted(signed.digests.keys() - seen):
        raise BundleError(f"{missing[0]!r} was signed, but is not in {model} ({len(missing)} missing): copy it again")


def _files(model: Path, signature: Path, signed: Signed) -> Iterator[tuple[str, Path]]:
    """The files that must have been signed, by their names. BundleError at what is neither file nor folder."""
    if model.is_file():
        yield (ITSELF if ITSELF in signed.digests else model.name), model
        return
    ignored = IGNORED | signed.ignore_paths
    for folder, folders, names in os.walk(model, onerror=_refuse):
        for path in (Path(folder) / name for name in [*folders, *names]):
            name = path.relative_to(model).as_posix()
            is_file = _is_file(path, model, signed.allow_symlinks)
            if is_file and path != signature and ignored.isdisjoint(_and_above(name)):
                yield name, path


def _and_above(name: str) -> list[str]:
    """A path, and the folders that it lies in."""
    path = PurePosixPath(name)
    return [name, *(parent.as_posix() for parent in path.parents)]


def _is_file(path: Path, model: Path, allow_symlinks: bool) -> bool:
    """Whether it is a file, not a folder. A link may only lead to a file of the model (section 6.1.1)."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        if not allow_symlinks:
            raise BundleError(f"{path} is a symbolic link, and the signature allows none: copy the file itself there")
        if not path.is_file() or not path.resolve().is_relative_to(model.resolve()):
            text = f"{path} leads to {path.readlink()}, which is no file of the model"
            raise BundleError(f"{text}: copy the file itself there")
        return True
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise BundleError(f"{path} is neither a file nor a folder: remove it")
    return stat.S_ISREG(mode)


def _pieces(name: str, path: Path, shard_size_bytes: int | None) -> Iterator[tuple[str, int, int | None]]:
    """What each digest is of: the whole file, or as many bytes of it each (section 6.3.2)."""
    if shard_size_bytes is None:
        yield name, 0, None
        return
    size_bytes = path.stat().st_size
    for start in range(0, size_bytes, shard_size_bytes):
        end = min(start + shard_size_bytes, size_bytes)
        yield f"{name}:{start}:{end}", start, end


def _digest(path: Path, start: int, end: int | None, hash_type: str) -> str:
    """Of a file from one byte to before another; end: None for its end."""
    engine = HASHES[hash_type]()
    with path.open("rb") as opened:
        opened.seek(start)
        left = end - start if end is not None else None
        while block := opened.read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left)):
            engine.update(block)
            left = left - len(block) if left is not None else None
    return str(engine.hexdigest())


def _refuse(error: OSError) -> NoReturn:
    raise error
