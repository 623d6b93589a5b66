"""Models at their true shapes with random weights: our decode and prefill beside llama.cpp's, in turns, in one run.

Ours is the recipe's own bundle but for its method, which changes no byte's place; llama.cpp's file is of the type that
takes about as many bits (Q4_K_M).
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import llama_cpp, shape_gguf
from benchmarks.alone import SAME_BITS, Work, llama, ours
from benchmarks.figure import Figure
from benchmarks.random_source import RandomSource
from benchmarks.rounds import in_turns, ratio
from benchmarks.true_shapes import exported
from edge.bundle import MANIFEST
from export.download import default_cache
from export.recipe import recipes

SHAPES = {
    "phi4_mini": "phi-4-mini-instruct",
    "qwen3_06b": "qwen3-0.6b",
    "llama32_3b": "llama-3.2-3b-instruct",
    "gemma3_1b": "gemma-3-1b-it",
}
WORK = Work((100, 200), 16)


def measure(_bundle: Path) -> list[Figure]:
    """Tokens a second over llama.cpp's, of prompts of 100 to 200 tokens and answers of 16."""
    return [figure for name, recipe in SHAPES.items() for figure in _compared(name, recipe)]


def _compared(name: str, recipe: str) -> list[Figure]:
    found = in_turns({"ours": ours(_bundle(recipe), WORK), SAME_BITS: llama(_file(recipe), WORK)})
    decode, prefill = (round(ratio(found["ours"], found[SAME_BITS], place), 3) for place in (0, 1))
    return [
        Figure(f"{name}_decode_over_llama_cpp", decode, "ratio", ">=", 1.1),
        Figure(f"{name}_prefill_over_llama_cpp", prefill, "ratio", ">=", 1.0),
    ]


def _bundle(recipe: str) -> Path:
    """All layers, rounded to nearest, made once."""
    target = default_cache() / "true-shapes" / f"{recipe}-whole"
    if not (target / MANIFEST).is_file():
        exported(recipe, target, "0", "rtn")
    return target


def _file(recipe: str) -> Path:
    """llama.cpp's, made once; the floats that it is made of are let go."""
    floats = default_cache() / "true-shapes" / f"{recipe}.f16.gguf"
    if not (path := floats.with_suffix(f".{SAME_BITS}.gguf")).is_file():
        shape_gguf.write(floats, RandomSource(recipe, recipes()[recipe].config))
        llama_cpp.plain(llama_cpp.build(), floats, SAME_BITS)
        floats.unlink()
    return path
