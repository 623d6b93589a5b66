"""What an adapter costs a row of the real bundle, and what it costs to go from one adapter to another."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
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


def measure(bundle: Path) -> list[Figure]:
    """Tokens of one row and of eight, without and with each adapter by turns; medians of ratios."""
    with tempfile.TemporaryDirectory() as folder:
        made = enlarged(bundle, Path(folder))
        graph = Graph(Bundle(made, read_manifest(made)), 0, 9)
        costs = {name: cost(graph, name, 1) for name in ("usual", "whole")}
        beside = cost(graph, "usual", 8)
        switch = switching(graph)
        before = Graph(Bundle(bundle, read_manifest(bundle)), 0, 9)
        without = cost(graph, "", 1, before)
    line = f"  beside none: {costs}, eight rows {beside:.3f}; a switch {switch:.3f}; branches at rest {without:.3f}"
    print(line, file=sys.stderr, flush=True)
    return [
        Figure("adapter_row_over_none", round(costs["usual"], 3), "ratio", "<=", 1.15),
        Figure("adapter_rows_of_eight_over_none", round(beside, 3), "ratio", "<=", 1.15),
        Figure("adapter_whole_row_over_none", round(costs["whole"], 3), "ratio", "<=", 1.15),
        Figure("adapter_step_after_switch_over_before", round(switch, 3), "ratio", "<=", 1.15),
        Figure("adapter_bundle_over_plain", round(without, 3), "ratio", "<=", 1.05),
    ]


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


def step(graph: Graph, rows: int, adapter: str) -> float:
    """Seconds that a token of each row takes."""
    ids, seen = np.full((rows, 1), 100, np.int64), np.full(rows, SEEN, np.int64)
    began = time.perf_counter()
    graph.run(0, ids, seen, adapter=adapter)
    return time.perf_counter() - began


def cost(graph: Graph, adapter: str, rows: int, plain: Graph | None = None) -> float:
    """Steps with an adapter over steps without, by turns, the order changing; plain: what runs those without."""
    ratios = []
    for number in range(ROUNDS):
        taken = {}
        for is_with in (number % 2 == 0, number % 2 == 1):
            on, name = (graph, adapter) if is_with else (plain or graph, "")
            step(on, rows, name)  # what a change of graphs or shapes costs is not a row's
            taken[is_with] = sum(step(on, rows, name) for _ in range(STEPS))
        ratios.append(taken[True] / taken[False])
    return statistics.median(ratios)


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
