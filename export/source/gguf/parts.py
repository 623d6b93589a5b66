"""A model split into several GGUF files, as llama.cpp's gguf-split names and numbers them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from export.errors import SourceError
from export.source.gguf.header import Header, read_header
from export.source.gguf.keys import Keys

NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
MOST = 10_000
"""Parts of one model."""


def read_parts(path: Path) -> tuple[Header, list[Path]]:
    """The whole model's header, whichever of its parts is named, and the files that hold it, the first one first.

    Raises SourceError naming the part that is missing, or that is another model's.
    """
    header = read_header(path)
    count = Keys(header).whole("split.count") or 1
    if count == 1:
        return header, [path]
    files = _files(path, Keys(header).needed("split.no"), count)
    parts = [header if file == path else _part(file, path) for file in files]
    return _joined(parts, count), files


def _files(path: Path, number: int, count: int) -> list[Path]:
    """The files of all parts, after the name of one; `split.no` counts from 0, names from 1."""
    match = NAME.fullmatch(path.name)
    if match is None or count > MOST or (int(match[2]), int(match[3])) != (number + 1, count):
        raise SourceError(
            f"{path} is part {number + 1} of {count} by its header; name the files"
            f" NAME-00001-of-{count:05}.gguf and so on, as they were made"
        )
    return [path.with_name(f"{match[1]}-{each:05}-of-{count:05}.gguf") for each in range(1, count + 1)]


def _part(file: Path, named: Path) -> Header:
    if not file.is_file():
        raise SourceError(f"{file} is missing; {named.name} is one part of a model, and all of them are needed")
    return read_header(file)


def _joined(parts: Sequence[Header], count: int) -> Header:
    """One header of all: the first part's keys, every part's tensors."""
    first, tensors = parts[0], dict(parts[0].tensors)
    for number, part in enumerate(parts):
        keys = Keys(part)
        found = (keys.whole("split.no"), keys.whole("split.count"))
        strange = [
            key for key, value in part.keys.items() if not key.startswith("split.") and first.keys.get(key) != value
        ]
        if found != (number, count) or strange:
            why = f"its {strange[0]} is another" if strange else f"it says part {found[0]} of {found[1]}, from 0"
            raise SourceError(f"{part.path} does not belong to {first.path.name}: {why}")
        if number and (twice := tensors.keys() & part.tensors):
            raise SourceError(f"{part.path} does not belong to {first.path.name}: both have {min(twice)}")
        tensors |= part.tensors
    wanted = Keys(first).whole("split.tensors.count")
    if wanted not in (None, len(tensors)):
        raise SourceError(f"{first.path} and its other parts hold {len(tensors)} tensors, but it counts {wanted}")
    return replace(first, tensors=tensors)
