"""What a person hands to a command: words, files and standard input, read as far as any board would read them."""

from __future__ import annotations

import argparse
import codecs
import json
import os
import select
import sys
from pathlib import Path
from typing import Any

from edge.errors import ConfigError, Fault
from edge.wire.pictures import MEDIA_TYPES, data_uri, media_type
from edge.wire.text import decoded

TEXT_BYTES_MAX = 16 << 20
PICTURE_BYTES_MAX = 64 << 20
"""More than boards read, whose own bounds are in `info`; what is there without end is not read without end."""
PIECE_BYTES = 1 << 20


def said(word: str) -> str:
    """A word of the command line as text; ArgumentTypeError where its bytes are none.

    Python reads it in the locale's encoding and keeps what is none there as half surrogates.
    """
    try:
        word.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(word).decode()
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise argparse.ArgumentTypeError(f"no text in UTF-8: byte {error.start + 1} is {byte:#x}") from error
    return word


def from_stdin() -> str:
    """Standard input as text, in the locale's encoding or in one that marks it. ConfigError where it is none."""
    if sys.stdin.isatty():
        print("type the question; Ctrl-D on a line of its own ends it", file=sys.stderr)
    try:
        data = sys.stdin.buffer.read(TEXT_BYTES_MAX + 1)
        if len(data) > TEXT_BYTES_MAX:
            raise ConfigError(f"standard input has more than {TEXT_BYTES_MAX >> 20} MiB, which no board reads")
        encoding = codecs.lookup(sys.stdin.encoding).name
        return decoded(data) if encoding in ("utf-8", "ascii") else data.decode(encoding)
    except OSError as error:
        raise ConfigError(f"standard input cannot be read: {error.strerror}") from error
    except (Fault, UnicodeDecodeError) as error:
        raise ConfigError(f"standard input cannot be asked: {error}") from error


def read_file(path: Path, bytes_max: int) -> bytes:
    """All bytes of a file, or of a pipe that somebody writes to. ConfigError where it cannot be read, or is larger."""
    data = bytearray()
    try:  # a pipe to which nobody writes is empty, where else one would wait for a writer
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            while len(data) <= bytes_max and (piece := file.read(PIECE_BYTES)) != b"":
                data += piece or b""
                if piece is None:
                    select.select([file], [], [])
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > bytes_max:
        raise ConfigError(f"{path} has more than {bytes_max >> 10} KiB, which is too much")
    return bytes(data)


def uri_of(file: Path) -> str:
    """A picture's bytes as a URI; ConfigError where it is none that boards read."""
    data = read_file(file, PICTURE_BYTES_MAX)
    kind = media_type(data)
    if kind is None:
        raise ConfigError(f"{file} is none of {', '.join(MEDIA_TYPES)}" if data else f"{file} is empty")
    return data_uri(kind, data)


def read_schema(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    data = read_file(path, TEXT_BYTES_MAX)
    try:
        schema = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a JSON schema: {error}") from error
    if not isinstance(schema, dict):
        raise ConfigError(f"{path} is not a JSON schema: it should hold an object")
    return schema
