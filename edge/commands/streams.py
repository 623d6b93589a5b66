"""Standard input, output and error as they are found: closed, full, without a reader, of few characters, a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import sys
from collections.abc import Callable
from typing import Any, TextIO

from edge.errors import OutputError

INPUT, OUTPUT, ERRORS = 0, 1, 2
COLUMNS = 80
"""Of a terminal that does not say how wide it is."""
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What steers a terminal, or turns texts around (Unicode's `Cc` and `Bidi_Control`), but newline and tab."""


def take_over() -> None:
    """Have what is printed from now on go out as this module sees to it; for a program's very beginning.

    On a terminal, what steers one is spelled out: names and answers come from models and from strangers. What the
    encoding lacks is spelled out everywhere. Where standard output fails, OutputError is raised; where standard error
    does, nothing is, since there is nowhere to say so.
    """
    _close_no_gaps()
    sys.stdin = sys.stdin or open(INPUT, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor
    sys.stdout = _text(OUTPUT, sys.stdout, _raise)
    sys.stderr = _text(ERRORS, sys.stderr, _pass_over)


def let_output_go() -> None:
    """From now on nothing is raised where standard output fails, either."""
    sys.stdout = _text(OUTPUT, sys.stdout, _pass_over)


def drawing() -> TextIO:
    """Standard output for who steers the terminal; strangers' words must be made visible before they are drawn there.

    Raises OutputError where it takes no more, as standard output does.
    """
    raw: Any = _Raw(OUTPUT, _raise)
    return io.TextIOWrapper(io.BufferedWriter(raw), sys.stdout.encoding, sys.stdout.errors)


def is_drawn_on() -> bool:
    """Whether standard output is a terminal that can be steered."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _close_no_gaps() -> None:
    """A closed descriptor's number would go to the next socket, and what is printed into it.

    Reading from what stands there ends at once, writing to it fails, as gnulib's `stdopen` has it.
    """
    for number in (INPUT, OUTPUT, ERRORS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest number, this one
            os.set_inheritable(number, True)


def _raise(error: OSError) -> None:
    raise OutputError(error) from None


def _pass_over(_error: OSError) -> None:
    pass


def _text(number: int, found: TextIO | None, failed: Callable[[OSError], None]) -> TextIO:
    """What takes the place of a stream. found: None where it was closed."""
    raw: Any = _Raw(number, failed)
    encoding = found.encoding if found else "utf-8"
    chosen = found.errors if found else None
    errors = chosen if chosen in ("replace", "ignore", "xmlcharrefreplace", "namereplace") else "backslashreplace"
    return _Text(io.BufferedWriter(raw), encoding, errors, line_buffering=number == ERRORS or raw.isatty())


class _Raw(io.FileIO):
    """A descriptor. Once it failed, what is still written to it goes nowhere, so that the program's end is quiet."""

    def __init__(self, number: int, failed: Callable[[OSError], None]) -> None:
        super().__init__(number, "wb", closefd=False)
        self._failed = failed

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # as FileIO has it
        """All that goes at once; waits where a pipe is full that somebody made not to block."""
        try:
            while (count := super().write(data)) is None:
                select.select([], [self.fileno()], [])
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            self._failed(error)
            return len(data)
        return count


class _Text(io.TextIOWrapper):
    """Text for a descriptor, with what steers terminals spelled out on one."""

    def write(self, text: str, /) -> int:
        """As it is, or spelled out."""
        super().write(spelled_out(text) if self.isatty() else text)
        return len(text)


def spelled_out(text: str) -> str:
    r"""What steers a terminal as `\u001b`, which means the same within JSON."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def progress(text: str) -> None:
    """Show what is being done in the last line of a terminal, in place of what was shown before; nowhere else."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return
    columns = max(os.get_terminal_size(ERRORS).columns or COLUMNS, 2) - 1
    shown = spelled_out(text).replace("\n", " ")[:columns]
    sys.stderr.flush()
    with contextlib.suppress(OSError):
        os.write(ERRORS, f"\r{' ' * columns}\r{shown}".encode(sys.stderr.encoding, "replace"))
