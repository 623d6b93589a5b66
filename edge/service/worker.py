"""The engine's child process, seen from the daemon: start it, hand it jobs, watch it, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

from edge.board.host import process_memory
from edge.config import Engine as EngineSettings
from edge.engine import Finished, Job, Options
from edge.errors import FAULTS, BundleError, EngineFailed

log = logging.getLogger(__name__)

LINE_BYTES_MAX = 1 << 24
"""Of one event; logprobs of a long answer are the most."""
ENDING_SECONDS = 2
TERMINATE_SECONDS = 5.0


OPTIONS = [field.name for field in dataclasses.fields(Options)]
"""The settings that are the engine's own options, too."""


class Worker:
    """One child and the jobs that it works on."""

    def __init__(self, settings: EngineSettings, program: list[str] | None = None) -> None:
        self._settings = settings
        self._program = program or [sys.executable, "-m", "edge.engine"]
        self._process: Process | None = None
        self._heard = time.monotonic()
        self._jobs: dict[int, asyncio.Queue[dict[str, Any] | None]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._counters: dict[str, int | float] = {}
        self._allowed_bytes: int | None = None
        self.rows = 1

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self.alive else None

    @property
    def silent_seconds(self) -> float:
        """How long ago the child last said something."""
        return time.monotonic() - self._heard

    async def start(self) -> None:
        """Start the child and wait until its model has answered a warm-up; BundleError where it cannot."""
        options = {name: getattr(self._settings, name) for name in OPTIONS}
        arguments = [str(self._settings.bundle), f"--options={json.dumps(options, default=str)}"]
        environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
        self._process = await asyncio.create_subprocess_exec(
            *self._program,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            limit=LINE_BYTES_MAX,
            start_new_session=True,  # a terminal's Ctrl-C is for the daemon alone
        )
        try:
            event = await asyncio.wait_for(self._read(self._process), self._settings.load_seconds)
        except TimeoutError as error:
            await self.kill()
            raise BundleError(f"the model was not ready after {self._settings.load_seconds:g} s") from error
        if event is None or event["event"] != "ready":
            await _end(self._process)
            raise BundleError(event["message"] if event else f"the engine ended while loading ({self._death()})")
        log.info("model ready after %.1f s, engine process %d", event["load_seconds"], self._process.pid)
        self.rows = event.get("rows", 1)
        kept_on_purpose = self._settings.prefix_bytes or 0
        self._allowed_bytes = (self.anonymous_bytes() or 0) + self._settings.growth_bytes + kept_on_purpose
        self._listening = asyncio.create_task(self._listen(self._process))

    async def generate(self, job: Job) -> AsyncGenerator[str | Finished, None]:
        """Pieces of the answer, then how it finished. Raises Fault; EngineFailed where the child died or hung."""
        self._heard = time.monotonic()
        self._jobs[job.id] = asyncio.Queue()
        try:
            self._write({"op": "generate", "job": dataclasses.asdict(job)})
            while True:
                event = await self._next_event(job.id)
                if event["event"] == "progress":
                    yield event["text"]
                elif event["event"] == "fault":
                    raise FAULTS[event["code"]](event["message"], event["param"])
                elif event["event"] == "finished":
                    yield Finished(**{key: value for key, value in event.items() if key not in ("event", "id")})
                    return
        finally:
            del self._jobs[job.id]

    async def _next_event(self, job_id: int) -> dict[str, Any]:
        stall = self._settings.stall_seconds
        while True:
            try:
                event = await asyncio.wait_for(self._jobs[job_id].get(), stall)
            except TimeoutError as error:
                if self.silent_seconds < stall:  # it works on others, and this one waits
                    continue
                await self.kill()
                raise EngineFailed(f"the engine said nothing for {stall:g} s and was stopped") from error
            if event is None:
                raise EngineFailed(f"the engine process ended while it was answering ({self._death()})")
            return event

    async def _listen(self, process: Process) -> None:
        """Everything the child says to whom it concerns, until it ends."""
        try:
            while (event := await self._read(process)) is not None:
                if event["event"] == "counters":
                    self._counters = event["counters"]
                elif (events := self._jobs.get(event["id"])) is not None:
                    events.put_nowait(event)
            await _end(process)
        finally:
            for events in self._jobs.values():
                events.put_nowait(None)

    def counters(self) -> Mapping[str, int | float]:
        """What the engine last told of what it did."""
        return self._counters

    def cancel(self, job_id: int) -> None:
        """Ask the child to stop a job; it ends at the next token, or in the middle of its prompt."""
        if self.alive:
            self._write({"op": "cancel", "id": job_id})

    async def stop(self) -> None:
        """Close the child's input and wait for it to end; kill it where it does not."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), TERMINATE_SECONDS)
        await self.kill()

    async def kill(self) -> None:
        """End the child at once, whatever it is in."""
        if self._process is not None:
            await _kill(self._process)

    async def died(self) -> None:
        """Wait for the child to end."""
        if self._process is not None:
            await self._process.wait()

    @property
    def is_overgrown(self) -> bool:
        """Whether it holds more than it may beyond what it took to get ready."""
        held = self.anonymous_bytes()
        return held is not None and self._allowed_bytes is not None and held > self._allowed_bytes

    def anonymous_bytes(self, root: Path = Path("/")) -> int | None:
        """What the child alone holds of memory, files apart (proc_pid_status(5)); None where it cannot be told."""
        try:
            return process_memory(self.pid, root).get("RssAnon")
        except OSError:
            return None

    def memory_bytes(self, root: Path = Path("/")) -> int | None:
        """The child's resident memory; None where it does not run or cannot be told."""
        try:
            return int((root / f"proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            return None

    def _write(self, command: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None or not self.alive:
            raise EngineFailed("the engine process is not running")
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def _read(self, process: Process) -> dict[str, Any] | None:
        """A child's next event; None at its end."""
        assert process.stdout is not None
        try:
            line = await process.stdout.readline()
        except ValueError:  # asyncio's word for a line over the limit, of which the rest would be read as events
            log.error("the engine said more than %d bytes at once and is stopped", LINE_BYTES_MAX)
            process.kill()
            return None
        self._heard = time.monotonic()
        return json.loads(line) if line.endswith(b"\n") else None

    def _death(self) -> str:
        code = self._process.returncode if self._process else None
        if code is None:
            return "no exit status"
        return f"signal {-code}" if code < 0 else f"exit status {code}"


async def _end(process: Process) -> None:
    """A child is ending by itself: let it, since a kill's look at it would take its exit status from asyncio."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), ENDING_SECONDS)
    await _kill(process)


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
