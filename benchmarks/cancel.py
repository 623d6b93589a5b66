"""How soon the engine is idle after a cancel, in its own measure: tokens while it decodes, slices while it reads."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.prefill import PROMPT
from edge.config import Engine
from edge.engine import Finished, Job
from edge.service.worker import Worker

ROUNDS = 40
STOPPED_MIN = 30
SLICE_TOKENS = 256
STORY = "Write a very long story about a lighthouse keeper."


def measure(bundle: Path) -> list[Figure]:
    """The 99th percentile of each over seeded moments, beside one token's and one slice's time in the same run."""
    decode, prefill = asyncio.run(both(bundle))
    return [
        Figure("cancel_decode_p99_over_token", round(decode, 2), "tokens", "<", 2),
        Figure("cancel_prefill_p99_over_slice", round(prefill, 2), "slices", "<", 1),
    ]


async def both(bundle: Path) -> tuple[float, float]:
    """Decode in tokens, prefill in slices."""
    worker = Worker(Engine(bundle=bundle, prefill_slice_tokens=SLICE_TOKENS, prefix_bytes=0))
    await worker.start()
    chance = random.Random(0)
    try:
        whole = await finished(worker, job(0, STORY, 64))
        token = whole.decode_seconds / whole.completion_tokens
        decode = [
            await idle_after(worker, job(n, STORY, 400), (25 + chance.random() * 40) * token) for n in range(1, ROUNDS)
        ]
        whole = await finished(worker, job(100, PROMPT, 1))
        slice_seconds = whole.prefill_seconds * SLICE_TOKENS / whole.prompt_tokens
        moments = [chance.uniform(0.02, whole.prefill_seconds * 0.8) for _ in range(ROUNDS)]
        prefill = [await idle_after(worker, job(101 + n, PROMPT, 1), at) for n, at in enumerate(moments)]
    finally:
        await worker.stop()
    return high(decode) / token, high(prefill) / slice_seconds


def job(number: int, prompt: str, max_tokens: int) -> Job:
    """A greedy job."""
    return Job(number, [{"role": "user", "content": prompt}], max_tokens)


def high(values: list[float | None]) -> float:
    """The 99th percentile of those that were stopped, which most must be."""
    stopped = sorted(value for value in values if value is not None)
    if len(stopped) < STOPPED_MIN:
        raise RuntimeError(f"only {len(stopped)} of {len(values)} jobs were still under way when they were cancelled")
    return stopped[len(stopped) * 99 // 100]


async def finished(worker: Worker, whole: Job) -> Finished:
    """How a job that nobody stops ends."""
    async for piece in worker.generate(whole):
        if isinstance(piece, Finished):
            return piece
    raise RuntimeError("the engine did not finish")


async def idle_after(worker: Worker, stopped: Job, seconds: float) -> float | None:
    """Seconds from a cancel, so long after the job's start, to the engine's being idle; None where it ended before."""
    asked: list[float] = []

    def cancel() -> None:
        asked.append(time.perf_counter())
        worker.cancel(stopped.id)

    timer = asyncio.get_running_loop().call_later(seconds, cancel)
    end = await finished(worker, stopped)
    timer.cancel()
    return time.perf_counter() - asked[0] if asked and end.finish_reason == "cancelled" else None
