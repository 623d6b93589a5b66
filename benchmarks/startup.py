"""Phi-3.5-mini at its true size: the first start and the second, memory afterwards, and how near to the roofline."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from benchmarks.full_shape import full_shape
from benchmarks.rounds import ROUNDS
from edge.bundle import WEIGHTS, Manifest, read_manifest
from edge.commands.bench_memory import memory_of
from edge.engine import Job, Options, answer, budget
from edge.engine.batch.engine import BatchedEngine

PROMPT, TOKENS = 32, 48


def measure(_bundle: Path) -> list[Figure]:
    """Second start over first, anonymous memory over weights, bytes a second while decoding over what memory gives."""
    bundle = full_shape()
    manifest = read_manifest(bundle)
    with tempfile.TemporaryDirectory(dir=bundle.parent) as folder:
        first, second = (started(bundle, folder) for _ in range(2))
        reached = roofline(bundle, manifest, folder)
        more = bytes_read(manifest, folder) / bytes_per_token(bundle, manifest)
    return [
        Figure("phi35_second_start_over_first", round(second[0] / first[0], 3), "ratio", "<=", 0.25),
        Figure("phi35_anonymous_over_weights", round(second[1] / manifest.weights_bytes, 3), "ratio", "<=", 0.15),
        Figure("phi35_decode_over_roofline", round(reached, 3), "ratio", ">=", 0.8),
        Figure("phi35_decode_over_roofline_as_packed", round(reached * more, 3), "ratio", ">=", 0.8),
    ]


def started(bundle: Path, folder: str) -> tuple[float, int]:
    """Seconds until the engine's process is ready, and its anonymous memory then."""
    with engine_process(bundle, {"cache_folder": folder, "packs": True, "prefix_disk_bytes": 0}) as (ready, pid):
        found = ready["load_seconds"], memory_of(pid)["RssAnon"]
        print(f"  start: {found[0]:.1f} s, {found[1] / 2**20:.0f} MiB anonymous", file=sys.stderr, flush=True)
        return found


@contextmanager
def engine_process(bundle: Path, options: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """The engine as the daemon starts it: what it says when it is ready, and its process id."""
    command = [sys.executable, "-m", "edge.engine", str(bundle), f"--options={json.dumps(options)}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdin
        event = json.loads(child.stdout.readline())
        if event["event"] != "ready":
            raise RuntimeError(f"the engine did not start: {event}")
        yield event, child.pid
        child.stdin.close()


def roofline(bundle: Path, manifest: Manifest, folder: str) -> float:
    """The median share that decoding one answer reaches of the memory's rate before and after it.

    Weights are packed and mapped, as the daemon has them from its second start on.
    """
    engine = BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False, cache_folder=folder, packs=True))
    shares, before = [], bandwidth()
    for number in range(ROUNDS):
        ended = answer(engine, Job(number, [], TOKENS + 1, ignore_eos=True), tokens=list(range(1000, 1000 + PROMPT)))
        reached = bytes_per_token(bundle, manifest) * TOKENS / ended.decode_seconds
        after = bandwidth()
        possible, before = (before + after) / 2, after
        shares.append(reached / possible)
        print(f"  {reached / 1e9:.1f} of {possible / 1e9:.1f} GB/s", file=sys.stderr, flush=True)
    return float(np.median(shares))


def bytes_per_token(bundle: Path, manifest: Manifest) -> int:
    """Of weights, all but the embedding's table, of which a token reads a row; and of the cache."""
    config = json.loads((bundle / "genai_config.json").read_text(encoding="utf-8"))["model"]["decoder"]
    table = manifest.vocab_size * config["hidden_size"] // 2
    return int(manifest.weights_bytes - table) + cache_bytes(manifest)


def cache_bytes(manifest: Manifest) -> int:
    """What attention reads for a token in the middle of the answer."""
    return manifest.kv_bytes_per_token * (PROMPT + TOKENS // 2)


def bytes_read(manifest: Manifest, folder: str) -> int:
    """What the kernels read for a token: packed weights, which have sums of their blocks beside them, and the cache.

    The file of packed weights has them as the bundle stores them, too, which nobody reads again.
    """
    (file,) = Path(folder).glob(f"packed/*/{WEIGHTS}")
    return file.stat().st_size - manifest.weights_bytes + cache_bytes(manifest)


def bandwidth(size: int = 1 << 30) -> float:
    """Bytes a second that all cores together read: each looks through its share for a byte that is not there."""
    libc = ctypes.CDLL(None)
    libc.memchr.restype = ctypes.c_void_p
    libc.memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    memory = np.zeros(size, np.uint8)
    memory[::4096] = 0  # every page is there
    cores = budget.threads(0)
    share = size // cores
    starts = [memory.ctypes.data + number * share for number in range(cores)]
    best = 0.0
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(3):
            began = time.perf_counter()
            list(pool.map(lambda start: libc.memchr(start, 1, share), starts))
            best = max(best, share * cores / (time.perf_counter() - began))
    return best
