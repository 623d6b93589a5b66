"""Documents as another process reads them (`reader.py`): whatever a file does to it, the next one is read."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.documents.cutting import Cut

SECONDS_MAX = 60.0
"""For one file."""
ANSWER_BYTES_MAX = 256 << 20


@dataclass(frozen=True, slots=True)
class Read:
    """What became of a file. guess: the encoding that it was read as where it names none. why: it was not read."""

    title: str = ""
    guess: str = ""
    pieces: list[Cut] = field(default_factory=list)
    why: str = ""


class Reading:
    """`with Reading() as reading:` a process that reads a file after another."""

    def __init__(self, seconds: float = SECONDS_MAX) -> None:
        self.seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def read(self, path: Path, kind: str) -> Read:
        """A file's pieces, or why there are none."""
        process = self._process = self._process or _started()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"path": str(path), "kind": kind}).encode() + b"\n")
            process.stdin.flush()
            told = json.loads(self._line(process))
        except (OSError, ValueError) as error:
            self._end()
            return Read(why=str(error) if isinstance(error, TimeoutError) else _ended(process.returncode))
        return _read(told)

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        """The next line that it writes. TimeoutError, or ValueError where it has ended."""
        assert process.stdout is not None
        ends, chunks, size = time.monotonic() + self.seconds, list[bytes](), 0
        while not chunks or not chunks[-1].endswith(b"\n"):
            if not select.select([process.stdout], [], [], max(0.0, ends - time.monotonic()))[0]:
                raise TimeoutError(f"reading it takes more than {self.seconds:g} seconds")
            chunks.append(process.stdout.read1(1 << 20))  # type: ignore[attr-defined]  # a BufferedReader
            size += len(chunks[-1])
            if not chunks[-1] or size > ANSWER_BYTES_MAX:
                raise ValueError("no whole line")
        return b"".join(chunks)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError):
                process.communicate()


def _started() -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "edge.documents.reader"]
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _read(told: dict[str, Any]) -> Read:
    if "why" in told:
        return Read(why=told["why"])
    return Read(told["title"], told["guess"], [Cut(*each) for each in told["pieces"]])


def _ended(status: int | None) -> str:
    if status is not None and status < 0 and -status != signal.SIGKILL:
        return f"its reader has crashed at it ({signal.Signals(-status).name})"
    return "its reader has ended at it"
