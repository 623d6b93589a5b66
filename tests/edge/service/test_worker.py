"""The engine's process, seen from the daemon: what it may do wrong, and that it never outlives a start that failed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.config import Engine
from edge.engine import Finished, Job
from edge.errors import BundleError, ConfigError, EdgeError, EngineFailed, StartError, Unavailable
from edge.service.worker import LINE_BYTES_MAX, Tell, Worker
from tests.conftest import ROOT

READY = '{"event": "ready", "load_seconds": 0.0, "rows": 1}'
SAYS_READY = f"print({READY!r}, flush=True); input(); "
NO_EVENTS = [
    b"",
    b"no JSON",
    b"[1]",
    b"null",
    b"7",
    b"{}",
    b'{"event": 1, "id": 1}',
    b'{"event": "unheard", "id": 1}',
    b'{"event": "progress", "text": "without a number"}',
    b'{"event": "progress", "id": "one", "text": ""}',
    b'{"event": "finished", "id": 1}',
    b'{"event": "fault", "id": 1}',
    b'{"event": "counters"}',
    b'{"event": "progress", "id": 1, "text": "\xff"}',
    b"[" * 100_000,
    b"x" * (LINE_BYTES_MAX + 1),
]


def worker_of(program: str, folder: Path, **settings: float) -> Worker:
    """A worker whose child is a Python program of a line."""
    return Worker(Engine(bundle=folder, **settings), [sys.executable, "-c", program])


def is_gone(pid: int) -> bool:
    """Whether there is no such process."""
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("said", NO_EVENTS, ids=lambda said: said[:30].decode(errors="replace"))
def test_what_is_no_event_is_the_end_of_the_engine(tmp_path, said):
    """It is stopped, its request fails with a word, and the daemon sees that it must start another, which it can."""
    (tmp_path / "said").write_bytes(said + b"\n")
    program = (
        f"import sys; {SAYS_READY} sys.stdout.buffer.write(open({str(tmp_path / 'said')!r}, 'rb').read());"
        "sys.stdout.flush(); input()"
    )

    async def work() -> None:
        worker = worker_of(program, tmp_path)
        for _ in range(2):
            await worker.start()
            with pytest.raises(
                EngineFailed, match=r"ended while it was answering \(stopped, since it said what is no event\)"
            ):
                async for _ in worker.generate(Job(1, [], 1)):
                    pass
            await asyncio.wait_for(worker.died(), 10)
            assert not worker.alive

    asyncio.run(work())


def test_what_is_an_event_is_understood(tmp_path):
    """A piece, an answer with logprobs that are no numbers in JSON, a fault; a code that there is not is a failure."""
    answer = {
        "event": "finished",
        "id": 1,
        "finish_reason": "stop",
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "prefill_seconds": 0,
        "decode_seconds": 0.5,
        "logprobs": [{"token": "a", "logprob": float("-inf")}],
    }
    faults = [{"event": "fault", "id": 1, "code": code, "message": "no", "param": None} for code in (503, 999)]
    events = [{"event": "progress", "id": 1, "text": "a"}, answer, *faults]
    lines = [json.dumps(event) for event in events]
    program = f"{SAYS_READY}print({lines[0]!r}); print({lines[1]!r}, flush=True)\n"
    program += "".join(f"input(); print({line!r}, flush=True)\n" for line in lines[2:]) + "input()"

    async def work() -> None:
        worker = worker_of(program, tmp_path)
        await worker.start()
        piece, finished = [each async for each in worker.generate(Job(1, [], 1))]
        assert piece == "a"
        assert finished == Finished("stop", 1, 1, 0.0, 0.5, logprobs=[{"token": "a", "logprob": float("-inf")}])
        for kind in (Unavailable, EngineFailed):
            with pytest.raises(kind, match="no"):
                async for _ in worker.generate(Job(1, [], 1)):
                    pass
        await worker.stop()

    asyncio.run(work())


@pytest.mark.parametrize(
    ("program", "kind", "status", "says"),
    [
        (
            "import os; os.kill(os.getpid(), 9)",
            StartError,
            75,
            r"signal 9\): killed, most likely since memory was short",
        ),
        ("import os; os.kill(os.getpid(), 11)", StartError, 75, r"ended while loading \(signal 11\)"),
        ("raise SystemExit(3)", StartError, 75, r"ended while loading \(exit status 3\)"),
        ("raise SystemExit(0)", StartError, 75, r"ended while loading \(exit status 0\)"),
        ("raise SystemExit(65)", BundleError, 65, "exit status 65"),
        ("raise SystemExit(78)", ConfigError, 78, "exit status 78"),
        ("""print('{"event": "failed", "message": "harm", "status": 65}')""", BundleError, 65, "harm"),
        ("""print('{"event": "failed", "message": "harm", "status": 78}')""", ConfigError, 78, "harm"),
        ("""print('{"event": "failed", "message": "harm", "status": 75}')""", StartError, 75, "harm"),
        ("""print('{"event": "failed", "message": "harm"}')""", StartError, 75, "harm"),
        (
            """print('{"event": "counters", "counters": {}}', flush=True); input()""",
            StartError,
            75,
            "since it said no more",
        ),
        ("print('hello', flush=True); input()", StartError, 75, "is no event"),
        ("print('half', end='')", StartError, 75, "exit status 0"),
        ("import sys, os; os.close(1); input()", StartError, 75, "stopped, since it said no more"),
        ("input()", StartError, 75, "not ready after 0.5 s.*engine.load_seconds"),
    ],
)
def test_a_start_that_fails_says_how_and_whether_it_may_pass(tmp_path, program, kind, status, says):
    """Killed, out of time, or with a word of its own; no child is left."""
    noting = f"import os; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n{program}"

    async def work() -> None:
        worker = worker_of(noting, tmp_path, load_seconds=0.5 if program == "input()" else 30)
        with pytest.raises(EdgeError, match=says) as raised:
            await worker.start()
        assert (type(raised.value), raised.value.exit_status) == (kind, status)
        assert not worker.alive
        if (tmp_path / "pid").exists():
            assert is_gone(int((tmp_path / "pid").read_text()))

    asyncio.run(work())


def test_a_program_that_is_not_there_is_no_crash(tmp_path):
    """The daemon tries again, and says what."""

    async def work() -> None:
        with pytest.raises(StartError, match="/nowhere/python cannot be started"):
            await Worker(Engine(bundle=tmp_path), ["/nowhere/python"]).start()

    asyncio.run(work())


def test_a_start_that_is_cancelled_leaves_no_child(tmp_path):
    """As a stop while the model loads does."""

    async def work() -> None:
        worker = worker_of("input()", tmp_path)
        starting = asyncio.create_task(worker.start())
        while worker.pid is None:
            await asyncio.sleep(0.01)
        pid = worker.pid
        assert "loading the model" in worker.progress
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert is_gone(pid)

    asyncio.run(work())


def test_what_must_be_so_first_tells_how_far_it_is_and_can_be_stopped(tmp_path):
    """A check goes before the child, in a thread of its own; a cancel ends it at its next word."""
    told = asyncio.Event()

    async def work() -> Worker:
        loop = asyncio.get_running_loop()

        def check(tell: Tell) -> None:
            for percent in range(10**9):
                tell(f"{percent} %")
                loop.call_soon_threadsafe(told.set)

        worker = Worker(Engine(bundle=tmp_path), [sys.executable, "-c", "input()"], check)
        starting = asyncio.create_task(worker.start())
        await asyncio.wait_for(told.wait(), 10)
        assert worker.progress.endswith("%")
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        return worker

    assert asyncio.run(work()).pid is None  # which returns when the thread has


def test_what_fails_first_is_raised_and_nothing_started(tmp_path):
    """A bundle that is not what its manifest says."""

    def check(_tell: Tell) -> None:
        raise BundleError("damaged")

    async def work() -> None:
        worker = Worker(Engine(bundle=tmp_path), [sys.executable, "-c", "input()"], check)
        with pytest.raises(BundleError, match="damaged"):
            await worker.start()
        assert worker.pid is None

    asyncio.run(work())


def test_an_engine_that_loads_ends_with_its_parent(bundle, tmp_path):
    """Its standard input's end is enough, though it is in the middle of its bundle: here, in a file without an end."""
    shutil.copytree(bundle, tmp_path / "bundle", ignore=lambda *_: ["model.onnx.data"])
    (tmp_path / "bundle/tokenizer.json").unlink()
    os.mkfifo(tmp_path / "bundle/tokenizer.json")
    command = [sys.executable, "-m", "edge.engine", str(tmp_path / "bundle")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as child:
        writer = os.open(tmp_path / "bundle/tokenizer.json", os.O_WRONLY)  # it is there, and reads
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(20) == 0
        os.close(writer)
