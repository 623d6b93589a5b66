"""What an adapter costs a row of the real bundle, and what it costs to go from one adapter to another."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from safetensors.numpy import save_file

from benchmarks.figure import Figure
from edge.bundle import GRAPH, Bundle, read_manifest
from edge.engine.graph.session import Graph
from export.adapters.branches import products
from export.sentences.adding import Additions, enlarge

USUAL, ALL = ("q_proj", "v_proj"), ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""What PEFT changes of a Llama where nobody says, and every matrix of its layers."""
ADAPTERS = {"usual": (USUAL, 8), "other": (USUAL, 8), "whole": (ALL, 16)}
"""Modules and rank of each."""
ROUNDS, STEPS, SEEN = 40, 4, 64
MIXED = ("usual", "other", "", "") * 2
"""Eight rows, as they come."""


def measure(bundle: Path) -> list[Figure]:
    """Tokens of one row and of eight, without and with each adapter by turns; medians of ratios.

    Over packed weights, as on a board; without them one graph answers all, and its branches rest.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = enlarged(bundle, Path(folder))
        graph, before = opened(made, Path(folder) / "packed"), opened(bundle, Path(folder) / "packed-plain")
        costs = {name: cost(graph, name, 1) for name in ("usual", "whole")}
        beside, together = cost(graph, "usual", 8), mixing(graph)
        switch, without = switching(graph), cost(graph, "", 1, before)
        resting = cost(opened(made, None), "", 1, opened(bundle, None))
    return [
        Figure("adapter_row_over_none", round(costs["usual"], 3), "ratio", "<=", 1.15),
        Figure("adapter_rows_of_eight_over_none", round(beside, 3), "ratio", "<=", 1.15),
        Figure("adapter_whole_row_over_none", round(costs["whole"], 3), "ratio", "<=", 1.15),
        Figure("adapter_step_after_switch_over_before", round(switch, 3), "ratio", "<=", 1.15),
        Figure("adapter_bundle_over_plain", round(without, 3), "ratio", "<=", 1.05),
        Figure("adapter_one_graph_over_plain", round(resting, 3), "ratio", "<=", 1.25),
        Figure("adapter_rows_together_over_apart", round(together, 3), "ratio", "<=", 0.9),
    ]


def opened(bundle: Path, packed: Path | None) -> Graph:
    """A bundle's graph; over packed weights that were there, if any."""
    for _ in range(2 if packed else 1):
        graph = Graph(Bundle(bundle, read_manifest(bundle)), 0, 9, packed)
    return graph


def enlarged(bundle: Path, folder: Path) -> Path:
    """The bundle with the adapters of the table, seeded at random."""
    adapters = tuple(written(bundle, folder / name, *of) for name, of in ADAPTERS.items())
    return enlarge(bundle, Additions(adapters=adapters), folder / "bundle").path


def written(bundle: Path, folder: Path, modules: tuple[str, ...], rank: int, scale: float = 0.02) -> Path:
    """An adapter of some modules of every layer, as PEFT writes it. scale: of its values' size."""
    chance, tensors = np.random.default_rng(rank), {}
    for product in products(onnx.load(bundle / GRAPH, load_external_data=False).graph):
        for name, rows in product.rows.items():
            if name.rpartition(".")[2] in modules:
                for part, shape in (("A", (rank, product.columns)), ("B", (rows, rank))):
                    values = chance.standard_normal(shape).astype(np.float32) * np.float32(scale)
                    tensors[f"base_model.model.{name}.lora_{part}.weight"] = values
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": list(modules)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def step(graph: Graph, rows: int, adapter: str | tuple[str, ...], slot: int = 0) -> float:
    """Seconds that a token of each row takes."""
    ids, seen = np.full((rows, 1), 100, np.int64), np.full(rows, SEEN, np.int64)
    began = time.perf_counter()
    graph.run(slot, ids, seen, adapter=adapter)
    return time.perf_counter() - began


def cost(graph: Graph, adapter: str, rows: int, plain: Graph | None = None) -> float:
    """Steps with an adapter over steps without, by turns, the order changing; plain: what runs those without."""
    return by_turns(lambda: step(graph, rows, adapter), lambda: step(plain or graph, rows, ""))


def mixing(graph: Graph) -> float:
    """Rows of several adapters by one run over the same rows by a run for each neighbours of one adapter."""
    pairs = [(slot, MIXED[slot]) for slot in range(len(MIXED)) if slot == 0 or MIXED[slot] != MIXED[slot - 1]]
    ends = [slot for slot, _ in pairs[1:]] + [len(MIXED)]
    runs = [(end - slot, name, slot) for (slot, name), end in zip(pairs, ends, strict=True)]
    return by_turns(lambda: step(graph, len(MIXED), MIXED), lambda: sum(step(graph, *run) for run in runs))


def by_turns(one: Callable[[], float], other: Callable[[], float]) -> float:
    """Seconds of one over those of the other, the order changing: the median; the processor's time is told beside."""
    ratios, by_processor = [], []
    for number in range(ROUNDS):
        taken, worked = {}, {}
        for is_one in (number % 2 == 0, number % 2 == 1):
            work = one if is_one else other
            work()  # what a change of graphs or shapes costs is not a row's
            began = time.process_time()
            taken[is_one] = sum(work() for _ in range(STEPS))
            worked[is_one] = time.process_time() - began
        ratios.append(taken[True] / taken[False])
        by_processor.append(worked[True] / worked[False])
    found = statistics.median(ratios)
    print(f"  {found:.3f}, {statistics.median(by_processor):.3f} of the processor's time", file=sys.stderr, flush=True)
    return found


def switching(graph: Graph) -> float:
    """The first step after a change of adapters over the last one before it, both having been used before."""
    for name in ("usual", "other"):
        step(graph, 1, name)
    ratios = []
    for number in range(ROUNDS * STEPS):
        before, after = ("usual", "other") if number % 2 else ("other", "usual")
        for _ in range(2):
            last = step(graph, 1, before)
        ratios.append(step(graph, 1, after) / last)
    return statistics.median(ratios)
