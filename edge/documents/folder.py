"""The files of a folder that are to be read, and why each of the others is not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.documents.encodings import clean
from edge.documents.schema import NAME_CHARS_MAX
from edge.errors import DocumentsError

KINDS = {
    ".txt": "plain",
    ".text": "plain",
    ".rst": "plain",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
}
OTHER_KIND = "neither text, Markdown, HTML nor PDF, by its name"
FILES_MAX, DEPTH_MAX = 50_000, 32
FILE_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class File:
    """A file of the folder. path: from the folder, with `/`. why: it is not read; "" where it is to be."""

    path: str
    kind: str = ""
    why: str = ""


def files(folder: Path) -> list[File]:
    """All files but hidden ones, by path. DocumentsError where the folder is none, or too large."""
    if not folder.is_dir():
        raise DocumentsError(f"{folder}: is {'no folder' if folder.exists() else 'not there'}")
    found: list[File] = []
    for file in _walk(folder, folder, 0):
        found.append(file)
        if len(found) > FILES_MAX:
            raise DocumentsError(f"{folder}: more than {FILES_MAX} files; add its folders one by one")
    return sorted(found, key=lambda file: file.path)


def _walk(top: Path, folder: Path, depth: int) -> Iterator[File]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield File(_shown(str(folder.relative_to(top))), why=str(error.strerror))
        return
    for entry in entries:
        path = str(Path(entry.path).relative_to(top))
        if entry.name.startswith("."):
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield _file(top, path)
        elif depth >= DEPTH_MAX:
            yield File(_shown(path), why=f"more than {DEPTH_MAX} folders deep")
        else:
            yield from _walk(top, Path(entry.path), depth + 1)


def _file(top: Path, path: str) -> File:
    kind = KINDS.get(Path(path).suffix.lower())
    if kind is None:
        return File(_shown(path), why=OTHER_KIND)
    if _shown(path) != path or len(path) > NAME_CHARS_MAX:
        return File(_shown(path), why="a name that is too long, not UTF-8, or has characters that nobody sees")
    try:
        resolved = (top / path).resolve(strict=True)
        status = resolved.stat()
    except (OSError, RuntimeError) as error:  # a link that leads nowhere, or to itself
        return File(path, why=getattr(error, "strerror", None) or "a link that leads to itself")
    if not resolved.is_relative_to(top.resolve()):
        return File(path, why="a link that leads out of the folder")
    if not stat.S_ISREG(status.st_mode):
        return File(path, why="no regular file")
    if status.st_size > FILE_BYTES_MAX:
        return File(path, why=f"{status.st_size / 2**20:.0f} MiB; {FILE_BYTES_MAX >> 20} are read at most")
    return File(path, kind)


def _shown(path: str) -> str:
    """A path that can be printed and kept; what cannot be is `?`."""
    return (
        clean(path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        .replace("\n", "?")
        .replace("\ufffd", "?")
    )
