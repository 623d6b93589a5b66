"""`edge bench --energy`: what fewer threads cost and save on this board, kept for its governor."""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from edge.board.calibration import Calibration, Measured, keep
from edge.board.energy import Energy
from edge.board.mailbox import Mailbox, by_ioctl
from edge.board.wattmeter import Wattmeter, fast_meters
from edge.bundle import Manifest, read_manifest
from edge.commands.running import run
from edge.commands.streams import progress
from edge.config import Engine, load_settings
from edge.engine import Finished, Job
from edge.errors import EdgeError
from edge.service.worker import Worker

IDLE_SECONDS = 20.0
ROUNDS = 2
TOKENS = 96
PROMPT = "Tell a long story of a keeper, a lamp, a storm and a ship that comes home."
NONE = "nothing on this board measures what it takes, or may be read: `edge doctor` says which sensors answer"


def main(options: argparse.Namespace) -> int:
    """Measure, keep and print; a wrong usage without a bundle."""
    if options.bundle is None:
        options.parser.error("--energy measures a bundle on this machine: name it with --bundle DIR")
    manifest, settings = read_manifest(options.bundle), load_settings().engine
    wattmeter = Wattmeter(fast_meters(Mailbox(by_ioctl)))
    counts = range(os.cpu_count() or 1, 0, -1)
    found = run(calibrated(manifest, lambda count: worker_of(options, count), wattmeter, counts))
    path = keep(settings.cache_folder, found)
    print(found.text() if options.json else table(found))
    if not options.json:
        print(f"kept in {path} for this board's governor")
    return 0


def worker_of(options: argparse.Namespace, threads: int) -> Worker:
    """An engine that knows no beginnings and guesses nothing."""
    return Worker(Engine(bundle=options.bundle, threads=threads, prefix_bytes=0, drafts=False, verify_hashes=False))


async def calibrated(
    manifest: Manifest,
    made: Callable[[int], Worker],
    wattmeter: Wattmeter,
    counts: Sequence[int],
    idle_seconds: float = IDLE_SECONDS,
) -> Calibration:
    """Every number of threads in turn, downwards and upwards. Raises EdgeError where no power is measured."""
    wattmeter.start()
    try:
        if not await asyncio.to_thread(wattmeter.settle):
            raise EdgeError(NONE)
        progress("measuring what the board takes when nothing runs")
        await asyncio.sleep(idle_seconds)
        answers: dict[int, list[tuple[float, Energy]]] = {count: [] for count in counts}
        for place in range(ROUNDS):
            for count in counts if place % 2 == 0 else reversed(counts):
                progress(f"round {place + 1} of {ROUNDS}: {count} threads")
                answers[count].append(await answered(made(count), wattmeter, place * 1000 + count))
        progress("")
    finally:
        wattmeter.close()
    return summary(manifest, answers)


async def answered(worker: Worker, wattmeter: Wattmeter, number: int) -> tuple[float, Energy]:
    """Tokens a second, and the energy, of one answer after a first that warms up."""
    await worker.start()
    try:
        await finished(worker, number)
        wattmeter.began(number)
        worker.gained = wattmeter.gained
        began = time.monotonic()
        ended = await finished(worker, number)
        energy = wattmeter.ended(number, ended.completion_tokens)
        rate = ended.completion_tokens / (time.monotonic() - began)
    finally:
        await worker.stop()
    if energy is None or energy.net_joules is None:
        raise EdgeError("the meter has left too much out: something keeps it busy, or the answers are too short for it")
    return rate, energy


async def finished(worker: Worker, number: int) -> Finished:
    """How one answer of a fixed length ended."""
    job = Job(number, [{"role": "user", "content": PROMPT}], TOKENS, ignore_eos=True)
    async for piece in worker.generate(job):
        if isinstance(piece, Finished):
            return piece
    raise RuntimeError("the answer did not end")


def summary(manifest: Manifest, answers: Mapping[int, Sequence[tuple[float, Energy]]]) -> Calibration:
    """Medians by the number of threads. EdgeError where work takes no more than idleness, which no meter can see."""
    threads, idle = {}, []
    for count, found in answers.items():
        watts = [watts_of(rate, energy) for rate, energy in found]
        added = statistics.median(each for each, _ in watts)
        if added <= 0:
            raise EdgeError(f"with {count} threads the meter sees no more power than when nothing runs")
        threads[count] = Measured(tokens_per_second=statistics.median(rate for rate, _ in found), added_watts=added)
        idle += [each for _, each in watts]
    scope = next(energy.scope for found in answers.values() for _, energy in found)
    model, cores = f"{manifest.name}@{manifest.version}", os.cpu_count() or 1
    return Calibration(model=model, cores=cores, scope=scope, idle_watts=statistics.median(idle), threads=threads)


def watts_of(rate: float, energy: Energy) -> tuple[float, float]:
    """What an answer of so many tokens a second added to an idle board's watts, and those."""
    seconds, net = energy.tokens / rate, energy.net_joules or 0.0
    return net / seconds, (energy.gross_joules - net) / seconds


def table(found: Calibration) -> str:
    """For people."""
    lines = [f"{found.model}: {found.scope}, {found.idle_watts:.2f} W when nothing runs", ""]
    lines.append(f"{'threads':>8}{'tokens/s':>12}{'watts more':>12}{'J/token':>10}")
    for count, its in sorted(found.threads.items(), reverse=True):
        joules = its.added_watts / its.tokens_per_second
        lines.append(f"{count:8}{its.tokens_per_second:12.2f}{its.added_watts:12.2f}{joules:10.3f}")
    return "\n".join(lines)
