"""`edge bench --memory`: what the engine may take, by part, beside what the kernel says that it takes."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from edge.board.memory import process_memory
from edge.bundle import read_manifest
from edge.commands.running import run
from edge.config import Engine
from edge.engine import Finished, Job, budget
from edge.service.worker import Worker

PROMPT = "the keeper climbs the stairs of the tower and lights the lamp again " * 40
FIELDS = ("RssAnon", "RssFile", "VmHWM")
MIB = 2**20


def main(options: argparse.Namespace) -> int:
    """Measure and print; a wrong usage without a bundle."""
    if options.bundle is None:
        options.parser.error("--memory measures a bundle on this machine: name it with --bundle DIR")
    figures = run(measured(options.bundle))
    print(json.dumps(figures, indent=2) if options.json else table(figures))
    return 0


async def measured(bundle: Path) -> dict[str, Any]:
    """Bytes: the budget's parts, the engine after its start, and while it holds one long text."""
    manifest, settings = read_manifest(bundle), Engine(bundle=bundle)
    worker = Worker(settings)
    started = time.monotonic()
    await worker.start()
    try:
        loaded = memory_of(worker.pid)
        seconds = time.monotonic() - started
        ended = await finished(worker)
        answered = memory_of(worker.pid)
    finally:
        await worker.stop()
    tokens = budget.kv_tokens(manifest, worker.rows, settings.kv_bytes)
    return {
        "budget": {
            "weights_bytes": manifest.weights_bytes,
            "kv_bytes": tokens * manifest.kv_bytes_per_token,
            "kv_tokens": tokens,
            "prefix_bytes": budget.prefix_bytes(settings.prefix_bytes),
        },
        "load_seconds": round(seconds, 2),
        "loaded": loaded,
        "answered": {**answered, "tokens": ended.prompt_tokens + ended.completion_tokens},
        "kv_bytes_per_token": manifest.kv_bytes_per_token,
    }


async def finished(worker: Worker) -> Finished:
    """One long prompt through the engine."""
    async for piece in worker.generate(Job(1, [{"role": "user", "content": PROMPT}], 32)):
        if isinstance(piece, Finished):
            return piece
    raise RuntimeError("the answer did not end")


def memory_of(pid: int | None) -> dict[str, int]:
    """Bytes of a process's own, of mapped files, and at its peak (proc_pid_status(5))."""
    found = process_memory(pid)
    return {name: found[name] for name in FIELDS}


def table(figures: dict[str, Any]) -> str:
    """For people, in MiB."""
    budget_of, loaded, answered = figures["budget"], figures["loaded"], figures["answered"]
    texts = answered["tokens"] * figures["kv_bytes_per_token"]
    rows = [
        ("weights", budget_of["weights_bytes"], f"{loaded['RssFile'] // MIB} mapped, {loaded['RssAnon'] // MIB} own"),
        (f"texts, {budget_of['kv_tokens']} tokens", budget_of["kv_bytes"], f"{texts // MIB} for {answered['tokens']}"),
        ("known beginnings", budget_of["prefix_bytes"], f"{answered['RssAnon'] // MIB} own after one answer"),
    ]
    lines = [f"{'MiB':28}{'budget':>10}   measured"]
    lines += [f"{name:28}{size // MIB:>10}   {seen}" for name, size, seen in rows]
    return "\n".join([*lines, f"peak {answered['VmHWM'] // MIB} MiB, ready after {figures['load_seconds']} s"])
