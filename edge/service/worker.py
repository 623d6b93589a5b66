"""The engine's child process, seen from the daemon: start it, hand it jobs, watch it, stop it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal
import sys
import threading
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

from edge.board.at_work import at_work
from edge.board.memory import process_memory
from edge.config import Documents, Scorer
from edge.config import Engine as EngineSettings
from edge.engine import Finished, Job, Options, Part
from edge.engine.cache.whose import PREFIXES, forget_files
from edge.engine.pace import REST_SECONDS_MAX
from edge.errors import BundleError, ConfigError, EdgeError, EngineFailed, StartError
from edge.service.engine_events import Counted, Failed, OfJob, Piece, Ready, Refused, understood

log = logging.getLogger(__name__)

LINE_BYTES_MAX = 1 << 24
"""Of one event; logprobs of a long answer are the most."""
ENDING_SECONDS = 2
TERMINATE_SECONDS = 5.0
LASTING: dict[int, type[EdgeError]] = {kind.status: kind for kind in (ConfigError, BundleError)}
"""What a child ends with where starting it again would not help."""
Tell = Callable[[str], None]
"""Says how far something is; raises InterruptedError where nobody wants it any more."""

OF_DOCUMENTS = "documents_"
OPTIONS = [field.name for field in dataclasses.fields(Options) if not field.name.startswith((OF_DOCUMENTS, "scorers"))]
"""The settings that are the engine's own options, too; beside them all of `[documents]`, under longer names."""


class Worker:
    """One child and the jobs that it works on."""

    def __init__(
        self,
        settings: EngineSettings,
        program: list[str] | None = None,
        check: Callable[[Tell], None] | None = None,
        documents: Documents | None = None,
        scorers: Mapping[str, Scorer] | None = None,
    ) -> None:
        """check: what must be so before the first start; on a thread of its own, since it takes its time."""
        self._settings, self._check, self._documents, self._scorers = settings, check, documents, dict(scorers or {})
        self._program = program or [sys.executable, "-m", "edge.engine"]
        self._process: Process | None = None
        self._heard = time.monotonic()
        self._doing = ""
        self._stopped = ""  # why we ended the child, where we did
        self._jobs: dict[int, asyncio.Queue[OfJob | None]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._counters: dict[str, int | float] = {}
        self._allowed_bytes: int | None = None
        self._pace: dict[str, Any] = {"op": "pace", "duty": 1.0}
        self.gained: Callable[[int, int], None] = lambda _job_id, _tokens: None
        self.rows = 1
        self.threads = settings.threads

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self.alive else None

    @property
    def progress(self) -> str:
        """What it is at while it starts, in words that change as long as work goes on."""
        if not self.alive:
            return self._doing
        held, seconds = (self.memory_bytes() or 0) / 1e9, time.monotonic() - self._heard
        return f"loading the model: {held:.2f} GB in memory after {seconds:.0f} s"

    @property
    def silent_seconds(self) -> float:
        """How long ago the child last said something."""
        return time.monotonic() - self._heard

    async def start(self) -> None:
        """Start the child and wait until its model has answered a warm-up.

        Raises BundleError or ConfigError where it never can, StartError where it could not this time; whatever ends
        a start ends its child.
        """
        await self._checked()
        process = self._process = await self._spawned()
        try:
            ready = await self._ready(process)
        except BaseException:
            await _kill(process)
            raise
        log.info("model ready after %.1f s, engine process %d", ready.load_seconds, process.pid)
        self.rows = ready.rows
        if self._pace["duty"] < 1:
            self._write(self._pace)
        kept_on_purpose = self._settings.prefix_bytes or 0
        self._allowed_bytes = (self.anonymous_bytes() or 0) + self._settings.growth_bytes + kept_on_purpose
        self._listening = asyncio.create_task(self._listen(process))

    async def _checked(self) -> None:
        """What must be so before the first start. Where that is cancelled, the thread soon ends, too."""
        if self._check is None:
            return
        unwanted = threading.Event()

        def tell(doing: str) -> None:
            if unwanted.is_set():
                raise InterruptedError
            self._doing = doing

        try:
            await asyncio.to_thread(self._check, tell)
        finally:
            unwanted.set()
        self._check = None

    async def _spawned(self) -> Process:
        self._heard, self._stopped = time.monotonic(), ""
        options = {name: getattr(self._settings, name) for name in OPTIONS} | {"threads": self.threads}
        options |= {f"{OF_DOCUMENTS}{name}": value for name, value in self._documents or ()}
        options["scorers"] = {name: dict(each) for name, each in self._scorers.items()}
        arguments = [str(self._settings.bundle), f"--options={json.dumps(options, default=str)}"]
        try:
            return await asyncio.create_subprocess_exec(
                *self._program,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
                limit=LINE_BYTES_MAX,
                start_new_session=True,  # a terminal's Ctrl-C is for the daemon alone
            )
        except (OSError, RuntimeError) as error:  # the second where there is no thread to be had
            raise StartError(f"the engine's process {self._program[0]} cannot be started: {error}") from error

    async def _ready(self, process: Process) -> Ready:
        limit = self._settings.load_seconds
        try:
            said = await asyncio.wait_for(self._read(process), limit)
        except TimeoutError as error:
            text = (
                f"the model was not ready after {limit:g} s: {self._stuck() or 'the board or its disk is slow or busy'}"
            )
            raise StartError(f"{text}; engine.load_seconds gives it more") from error
        if isinstance(said, Ready):
            return said
        await self._ended(process)
        if isinstance(said, Failed):
            raise LASTING.get(said.status, StartError)(said.message)
        kind = LASTING.get(process.returncode or 0, StartError)
        raise kind(f"the engine ended while loading ({self._death()}){self._advice(process)}")

    def _advice(self, process: Process) -> str:
        if process.returncode == -signal.SIGKILL and not self._stopped:
            return ": killed, most likely since memory was short; stop what else runs, or take a smaller bundle"
        return "; the lines above say why, if it could say it"

    async def generate(self, job: Job) -> AsyncGenerator[str | Part | Finished, None]:
        """Pieces of the answer, then how it finished. Raises Fault; EngineFailed where the child died or hung."""
        self._heard = time.monotonic()
        self._jobs[job.id] = asyncio.Queue()
        try:
            self._write({"op": "generate", "job": dataclasses.asdict(job)})
            while True:
                said = await self._next_of(job.id)
                if isinstance(said, Piece):
                    yield said.what()
                elif isinstance(said, Refused):
                    raise said.fault()
                else:
                    yield said.finished()
                    return
        finally:
            del self._jobs[job.id]

    async def _next_of(self, job_id: int) -> OfJob:
        stall = self._settings.stall_seconds
        while True:
            try:
                said = await asyncio.wait_for(self._jobs[job_id].get(), stall)
            except TimeoutError as error:
                if self.silent_seconds < stall:  # it works on others, and this one waits
                    continue
                why = self._stuck()
                await self.kill()
                text = f"the engine said nothing for {stall:g} s and was stopped"
                raise EngineFailed(f"{text}: {why}" if why else text, "scorers" if why else None) from error
            if said is None:
                raise EngineFailed(f"the engine process ended while it was answering ({self._death()})")
            return said

    async def _listen(self, process: Process) -> None:
        """Everything the child says to whom it concerns, until it ends; it does not live on unheard."""
        try:
            while (said := await self._read(process)) is not None:
                if isinstance(said, Counted):
                    self._counters = said.counters
                elif isinstance(said, OfJob) and (waiting := self._jobs.get(said.id)) is not None:
                    waiting.put_nowait(said)
                    if isinstance(said, Piece):
                        self.gained(said.id, said.tokens)
            await self._ended(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            for waiting in self._jobs.values():
                waiting.put_nowait(None)

    def counters(self) -> Mapping[str, int | float]:
        """What the engine last told of what it did."""
        return self._counters

    def cancel(self, job_id: int) -> None:
        """Ask the child to stop a job; it ends at the next token, or in the middle of its prompt."""
        if self.alive:
            self._write({"op": "cancel", "id": job_id})

    def pace(self, duty: float, period_seconds: float) -> None:
        """Have the child, and those after it, work for this share of the time: above 0, 1 for all of it.

        period_seconds: how long a turn of work and rest may be, about.
        """
        step_seconds = duty * period_seconds if duty < 1 else None
        rest_seconds = min(REST_SECONDS_MAX, self._settings.stall_seconds / 4)
        self._pace |= {"duty": duty, "step_seconds": step_seconds, "rest_seconds": rest_seconds}
        if self.alive:
            self._write(self._pace)

    def ease(self) -> None:
        """Ask the child to let go of what it keeps only to be faster."""
        if self.alive:
            self._write({"op": "ease"})

    def forget(self, salt: str) -> None:
        """Have the child forget what jobs of one salt have left; what lies on disk goes whether there is one or not."""
        if self.alive:
            self._write({"op": "forget", "salt": salt})
        folder = self._settings.cache_folder / PREFIXES
        asyncio.get_running_loop().run_in_executor(None, forget_files, folder, salt)

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

    async def _read(self, process: Process) -> Ready | Failed | Counted | OfJob | None:
        """A child's next event; None at its end, or where it says what is none and is stopped for that."""
        assert process.stdout is not None
        try:
            line = await process.stdout.readline()
            self._heard = time.monotonic()
            return understood(line) if line.endswith(b"\n") else None
        except ValueError:  # asyncio's word for a line over the limit, too, whose rest would be read as events
            log.error("the engine said what is no event, or more than %d bytes at once, and is stopped", LINE_BYTES_MAX)
            self._stopped = "stopped, since it said what is no event"
            process.kill()
            return None

    async def _ended(self, process: Process) -> None:
        """A child that says no more ends by itself, or we end it."""
        with contextlib.suppress(TimeoutError):  # a kill's look at it would take its exit status from asyncio
            await asyncio.wait_for(process.wait(), ENDING_SECONDS)
        if process.returncode is None:
            self._stopped = self._stopped or "stopped, since it said no more"
            await _kill(process)

    def _stuck(self) -> str:
        """Which scorer does not come back, in words; empty where it is none."""
        number = at_work(self.pid)
        names = list(self._scorers)
        is_one = number is not None and number < len(names)
        return f"the scorer {names[number or 0]!r} did not come back" if is_one else ""

    def _death(self) -> str:
        code = self._process.returncode if self._process else None
        if self._stopped or code is None:
            return self._stopped or "no exit status"
        return f"signal {-code}" if code < 0 else f"exit status {code}"


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
