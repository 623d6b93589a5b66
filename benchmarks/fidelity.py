"""What quantisation loses at several sizes, ours beside llama.cpp's best file of each size."""

from __future__ import annotations

import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import llama_cpp
from benchmarks.figure import Figure
from benchmarks.reference import dithered
from export.calibration_text import evaluation_tokens
from export.download import default_cache
from export.fidelity import Sample, compare
from export.forward import SourceForward
from export.graphs import load_skeleton
from export.pipeline import export_bundle
from export.plan import Plan, plan_of
from export.recipe import BlockSize, Override, Recipe
from export.source import Source, open_source
from export.stages import Layer
from export.verify import TEXT

TOKENS = 12 * 512
RTN = 0.343
"""What rounding to nearest costs on this reference, in symmetric blocks of 32."""


@dataclass(frozen=True)
class Size:
    """A budget in MB, the divergence it must stay under, and the formats that use it."""

    megabytes: float
    bar: float
    block_size: BlockSize
    overrides: dict[str, Override]


EIGHT, WIDE = Override(bits=8), Override(block_size=64)
TABLE = {"model.embed_tokens": WIDE}
VALUES_AND_KEYS = TABLE | {"*.v_proj": EIGHT, "*.k_proj": EIGHT}
FIRST_OUTPUTS = {"model.layers.?.self_attn.o_proj": EIGHT, "model.layers.1[0-4].self_attn.o_proj": EIGHT}
SIZES = (
    Size(92, 0.09, 64, TABLE),
    Size(95.5, 0.06, 64, VALUES_AND_KEYS),
    Size(101.5, 0.04, 32, VALUES_AND_KEYS | {"*.gate_proj": WIDE}),
    Size(105.5, 0.03, 32, VALUES_AND_KEYS | FIRST_OUTPUTS),
)


def measure(_bundle: Path) -> list[Figure]:
    """Our divergence at each size, and its ratio to llama.cpp's at that size."""
    source = open_source(dithered())
    theirs = llama_losses(source)
    figures = []
    for size in SIZES:
        megabytes, found, exact = ours(source, size)
        best = min((loss for each, loss in theirs.values() if each <= size.megabytes), default=float("inf"))
        name = f"kl_{size.megabytes:g}mb".replace(".", "_")
        figures += [
            Figure(f"{name}_size", round(megabytes, 2), "MB", "<=", size.megabytes),
            Figure(name, round(found, 4), "nats", "<=", size.bar),
            Figure(f"{name}_float_activations", round(exact, 4), "nats", "<=", size.bar),
            Figure(f"{name}_over_llama_cpp", round(found / best, 3), "ratio", "<", 1),
        ]
    return figures


def measure_other_text(_bundle: Path) -> list[Figure]:
    """Our divergence on the same evaluation text where calibration saw text of another kind: Python, not prose."""
    source = open_source(dithered())
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code.txt"
        code.write_text(standard_library(), encoding="utf-8")
        found = [(size, ours(source, size, code)[1]) for size in SIZES]
    return [
        Figure(f"kl_{size.megabytes:g}mb_calibrated_on_code".replace(".", "_"), round(loss, 4), "nats", "<", RTN)
        for size, loss in found
    ]


def measure_int8_cache(_bundle: Path) -> list[Figure]:
    """What keys and values in int8 add to the divergence of a bundle that loses next to nothing: 8 bits, to nearest."""
    source = open_source(dithered())
    base = Recipe(licence="Apache-2.0", name="reference", context_length=2048, method="rtn", bits=8, kv_cache="float")
    with_int8 = base.model_copy(update={"kv_cache": "int8"})
    with tempfile.TemporaryDirectory() as folder:
        manifests = [
            export_bundle(source, recipe, Path(folder) / recipe.kv_cache, False, lambda *_: None).manifest
            for recipe in (base, with_int8)
        ]
    plain, int8 = (each.fidelity["kl_mean"] for each in manifests)
    ratio = manifests[1].kv_bytes_per_token / manifests[0].kv_bytes_per_token
    return [
        Figure("kl_added_by_int8_cache", round(int8 - plain, 5), "nats", "<=", 0.01),
        Figure("int8_cache_over_float32_bytes", ratio, "ratio", "<=", 0.26),
    ]


def standard_library() -> str:
    """Source code of Python's own modules, those of one file each, in the order of their names."""
    folder = Path(sysconfig.get_path("stdlib"))
    texts = (path.read_text(encoding="utf-8") for path in sorted(folder.glob("[a-z]*.py")))
    return "\n\n".join(texts)


def recipe_of(size: Size, calibration: Path | None = None) -> Recipe:
    """The default recipe's method in a size's formats."""
    return Recipe(
        calibration_text=calibration,
        licence="Apache-2.0",
        name="reference",
        context_length=2048,
        block_size=size.block_size,
        kv_cache="float",  # what weights lose; llama.cpp's files are measured with a float cache, too
        overrides=size.overrides,
        calibration_tokens=64 * 512,
        evaluation_tokens=TOKENS,
    )


def ours(source: Source, size: Size, calibration: Path | None = None) -> tuple[float, float, float]:
    """Megabytes of the bundle's weights and its divergence, with int8 activations as it runs, and with float ones."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = export_bundle(source, recipe_of(size, calibration), Path(folder) / "bundle", False, lambda *_: None)
    fidelity = bundle.manifest.fidelity
    return bundle.manifest.weights_bytes / 1e6, fidelity["kl_mean"], fidelity["kl_mean_accuracy_level_0"]


def llama_losses(source: Source) -> dict[str, tuple[float, float]]:
    """By type, megabytes of llama.cpp's file and its divergence over the same tokens."""
    folder = default_cache() / "llama-cpp-files"
    programs = llama_cpp.build()
    files = {kind: llama_cpp.quantized(programs, source.path, folder, kind) for kind in llama_cpp.TYPES}
    plans = [_plan(source), *(_plan(open_source(path)) for path in files.values())]
    layer = Layer(load_skeleton("llama"), plans[0].sizes)
    pieces = evaluation_tokens(source.tokenizer_files["tokenizer.json"], TOKENS, 2048)
    forwards = [SourceForward(plan, layer) for plan in plans]
    samples = [Sample(TEXT, piece) for piece in pieces]
    found = compare(forwards[0], forwards[1:], samples, plans[0].sizes.num_layers, lambda *_: None)
    losses = {
        kind: (path.stat().st_size / 1e6, each.losses[TEXT].kl_mean)
        for (kind, path), each in zip(files.items(), found, strict=True)
    }
    for kind, (megabytes, loss) in losses.items():
        print(f"  llama.cpp {kind:8} {megabytes:6.1f} MB  KL {loss:.4f}", file=sys.stderr, flush=True)
    return losses


def _plan(source: Source) -> Plan:
    return plan_of(source, Recipe(licence="Apache-2.0", context_length=2048))
