"""The installer's process (`python -m edge.store`), seen from the daemon: start it, hear how far it is, end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from edge.bundle import Sha256
from edge.wire.desired import Wanted

log = logging.getLogger(__name__)

PROGRAM = (sys.executable, "-m", "edge.store")
LINE_BYTES_MAX = 1 << 16
NICENESS = 19
"""Answers come first."""
MAY_PASS = frozenset({69, 75})
"""Exit statuses after which it is worth trying again; so it is where the installer was killed."""
ENDING_SECONDS = 2.0


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Downloading(_Line):
    """How many of the bundle's bytes are in place."""

    state: Literal["downloading"]
    done_bytes: Annotated[int, Field(ge=0)]
    total_bytes: Annotated[int, Field(ge=0)]

    @property
    def progress(self) -> float:
        """Their share."""
        return round(min(1.0, self.done_bytes / self.total_bytes), 3) if self.total_bytes else 1.0


class Verifying(_Line):
    """All bytes are there."""

    state: Literal["verifying"]


class Verified(_Line):
    """It is whole, in the store, and to be tried."""

    state: Literal["verified"]
    digest: Sha256
    name: str
    version: str


class Latest(_Line):
    """The newest version that the repository has."""

    state: Literal["latest"]
    name: str
    version: str


class Refused(_Line):
    """It is not to be had, or not to be used."""

    state: Literal["refused"]
    reason: str


Line = Downloading | Verifying | Verified | Latest | Refused
_Last = TypeVar("_Last", Verified, Latest)
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="state")])


class InstallFailed(Exception):
    """There is no bundle. passes: whether it may be otherwise another time."""

    def __init__(self, reason: str, passes: bool) -> None:
        super().__init__(reason)
        self.passes = passes


class Installer:
    """Starts one process at a time. program: what it is."""

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        self._program = program

    async def install(self, wanted: Wanted, channel: str, is_again: bool, tell: Callable[[Line], None]) -> Verified:
        """A bundle into the store. is_again: also one that was rolled back here. tell: hears each line.

        Raises InstallFailed with why there is none. A cancel ends the process; what it has fetched stays.
        """
        return await self._run(arguments(wanted, channel, is_again), Verified, tell)

    async def latest(self, name: str, channel: str) -> Latest:
        """The newest version of a bundle; nothing is fetched but who says so. InstallFailed as above."""
        return await self._run(["latest", f"--channel={channel}", "--", name], Latest, lambda _line: None)

    async def _run(self, words: Sequence[str], wanted: type[_Last], tell: Callable[[Line], None]) -> _Last:
        process = await self._started(words)
        last: Line | None = None
        try:
            async for line in _lines(process):
                last = line
                tell(line)
            status = await process.wait()
        finally:
            await _ended(process)
        if isinstance(last, wanted) and status == 0:
            return last
        reason = last.reason if isinstance(last, Refused) else f"the installer has ended with {status}; see the log"
        raise InstallFailed(reason, status in MAY_PASS or status < 0)

    async def _started(self, words: Sequence[str]) -> Process:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._program,
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_BYTES_MAX,
                start_new_session=True,  # a terminal's Ctrl-C is for the daemon alone
            )
        except (OSError, RuntimeError) as error:
            raise InstallFailed(f"the installer cannot be started: {error}", passes=True) from error
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process


def arguments(wanted: Wanted, channel: str, is_again: bool) -> list[str]:
    """Of the installer's command line."""
    words = ["install", f"--channel={wanted.channel or channel}"]
    words += [f"--version={wanted.version}"] if wanted.version else []
    words += [] if is_again else ["--unless-failed"]
    return [*words, "--", wanted.name]


async def _lines(process: Process) -> AsyncIterator[Line]:
    """What it says, as far as it can be understood."""
    assert process.stdout is not None
    while True:
        try:
            text = await process.stdout.readline()
        except ValueError:  # a line over the limit
            text = b"?"
        if not text:
            return
        try:
            yield _LINE.validate_json(text)
        except ValueError:
            log.warning("the installer said what is not understood: %r", text[:80])


async def _ended(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), ENDING_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
