"""What an export says: work that is done is not undone by a closed pipe or a full disk behind its words."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO


class Heedless(io.TextIOBase):
    """A stream whose failures end nothing. error: the first of them."""

    def __init__(self, inner: TextIO) -> None:
        self._inner = inner
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, text: str) -> int:
        """Written where it can be."""
        try:
            return self._inner.write(text)
        except OSError as error:
            self.error = self.error or error
            return len(text)

    def flush(self) -> None:
        """Flushed where it can be."""
        try:
            self._inner.flush()
        except OSError as error:
            self.error = self.error or error

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._inner.isatty()

    def fileno(self) -> int:
        """The stream's, for a child's output."""
        return self._inner.fileno()


def prepare() -> None:
    """Both streams are there, whatever we were started with, and bear every letter."""
    sys.stdout, sys.stderr = (_heedless(stream) for stream in (sys.stdout, sys.stderr))


def _heedless(stream: TextIO | None) -> TextIO:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return Heedless(stream or Path(os.devnull).open("w", encoding="utf-8"))  # type: ignore[return-value]


def heard(status: int) -> int:
    """The exit status, 1 where standard output did not take what was said."""
    sys.stdout.flush()
    error = getattr(sys.stdout, "error", None)
    if error is None:
        return status
    print(f"edge-export: its words, but not its work, are lost: standard output: {error.strerror}", file=sys.stderr)
    return status or 1
