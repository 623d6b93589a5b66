"""One request: our engine, onnxruntime-genai's Generator and llama.cpp on the same machine, in turns, in one run.

Prompts and their lengths come from a seed. Ours and the Generator run the same bundle. llama.cpp runs files of the
same model in the type that takes as many bits (Q4_K_M) and, to show what fewer bits would do, in Q4_0.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: later is too late

import numpy as np
import onnxruntime_genai as og

from benchmarks import llama_cpp, shape_gguf
from benchmarks.figure import Figure
from benchmarks.full_shape import full_shape
from benchmarks.random_source import RandomSource
from benchmarks.reference import dithered
from benchmarks.rounds import in_turns, ratio
from edge.engine import Job, Options, answer, budget
from edge.engine.batch.engine import BatchedEngine
from export.download import default_cache
from export.recipe import recipes

FULL_SIZE = "phi-3.5-mini-instruct"
SAME_BITS, FEWER_BITS = "Q4_K_M", "Q4_0"
Measure = Callable[[int], Sequence[float]]


def measure(bundle: Path) -> list[Figure]:
    """The default model, real weights: prompts of 200 to 600 tokens, answers of 64."""
    folder = default_cache() / "llama-cpp-files"
    programs, original = llama_cpp.build(), dithered()
    files = {kind: llama_cpp.quantized(programs, original, folder, kind) for kind in (SAME_BITS, FEWER_BITS)}
    return compared("", bundle, files, Work((200, 600), 64), generator_bars=(1.2, 1.4))


def measure_full_size(_bundle: Path) -> list[Figure]:
    """Phi-3.5-mini's true shape, random weights: prompts of 100 to 200 tokens, answers of 16."""
    source = RandomSource(FULL_SIZE, recipes()[FULL_SIZE].config)
    original = shape_gguf.write(default_cache() / "phi-3.5-mini-random.f16.gguf", source)
    files = {kind: llama_cpp.plain(llama_cpp.build(), original, kind) for kind in (SAME_BITS, FEWER_BITS)}
    return compared("phi35_", full_shape(), files, Work((100, 200), 16), generator_bars=(1.3, 1.6))


class Work:
    """What every engine does in a round: a prompt of a seeded length, an answer of a fixed one."""

    def __init__(self, prompt: tuple[int, int], answer: int) -> None:
        self._between, self.answer = prompt, answer

    def prompt(self, number: int) -> list[int]:
        """Token ids of a round's prompt."""
        chance = np.random.default_rng(number)
        return [int(token) for token in chance.integers(1000, 20_000, chance.integers(*self._between))]


def compared(
    prefix: str, bundle: Path, files: dict[str, Path], work: Work, generator_bars: tuple[float, float]
) -> list[Figure]:
    """Tokens a second of everything, then the ratios of ours over each other's."""
    measured: dict[str, Measure] = {
        "ours": ours(bundle, work),
        "generator": generator(bundle, work, None),
        "generator, every core": generator(bundle, work, budget.threads(0)),
        **{kind: llama(path, work) for kind, path in files.items()},
    }
    found = in_turns(measured)
    bars = {
        "generator": generator_bars,
        "generator, every core": (0.95, 0.95),
        SAME_BITS: (1.0, 1.0),
        FEWER_BITS: (0.5, 0.5),
    }
    names = {
        "generator": "genai",
        "generator, every core": "genai_every_core",
        SAME_BITS: "llama_cpp",
        FEWER_BITS: "llama_cpp_q4_0",
    }
    return [
        Figure(
            f"{prefix}{kind}_over_{names[other]}",
            round(ratio(found["ours"], found[other], place), 3),
            "ratio",
            ">=",
            bars[other][place],
        )
        for other in bars
        for place, kind in enumerate(("decode", "prefill"))
    ]


def ours(bundle: Path, work: Work) -> Measure:
    """Our engine without guesses and without remembered beginnings."""
    engine = BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False))

    def once(number: int) -> Sequence[float]:
        prompt = work.prompt(number)
        ended = answer(engine, Job(number, [], work.answer + 1, ignore_eos=True), tokens=prompt)
        return work.answer / ended.decode_seconds, ended.prompt_tokens / ended.prefill_seconds

    return once


def generator(bundle: Path, work: Work, threads: int | None) -> Measure:
    """onnxruntime-genai's Generator over the same bundle. threads: None for what it takes by itself."""
    os.environ.pop("ORT_GQA_DISABLE_FLASH_ATTENTION", None)  # our engine's setting, not what it comes with
    config = og.Config(str(bundle))
    if threads:
        options = {"session_options": {"intra_op_num_threads": threads}}
        config.overlay(json.dumps({"model": {"decoder": options}}))
    model = og.Model(config)

    def once(number: int) -> Sequence[float]:
        prompt = work.prompt(number)
        length = len(prompt) + work.answer + 1
        params = og.GeneratorParams(model)
        params.set_search_options(do_sample=False, max_length=length, min_length=length)
        made = og.Generator(model, params)
        started = time.perf_counter()
        made.append_tokens(prompt)
        made.generate_next_token()
        first = time.perf_counter()
        for _ in range(work.answer):
            made.generate_next_token()
        return work.answer / (time.perf_counter() - first), len(prompt) / (first - started)

    return once


def llama(file: Path, work: Work) -> Measure:
    """llama-bench with flash attention, which is its faster way here; it decodes behind a prompt, as the others do."""

    def once(number: int) -> Sequence[float]:
        length = str(len(work.prompt(number)))
        prefill = bench(file, "-p", length, "-n", "0")
        decode = bench(file, "-p", "0", "-n", str(work.answer), "-d", length)
        return decode, prefill

    return once


def bench(file: Path, *options: str) -> float:
    """Tokens a second of one test of llama-bench."""
    command = [str(llama_cpp.build() / "llama-bench"), "-m", str(file), "-fa", "1", "-r", "1", "-o", "json"]
    command += ["-t", str(budget.threads(0)), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)[0]["avg_ts"])
