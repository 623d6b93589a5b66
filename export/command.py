"""`edge-export MODEL -o DIR`: the command line of the export."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.bundle import MANIFEST, Bundle
from export.bits import as_recipe, search
from export.download import known_config, locate
from export.errors import ExportError, SourceError
from export.estimate import needs, room
from export.families import family_of
from export.pipeline import check_free, fill, staging
from export.plan import make_plan, plan_of
from export.progress import Progress, peak_mebibytes
from export.quantize import METHODS
from export.recipe import Limits, Recipe, recipes
from export.source import Source, open_source
from export.source.adapter import AdapterSource
from export.source.hub import parse


def run(arguments: list[str] | None = None) -> int:
    """Export one model; exit status 0, or 1 with a sentence on standard error."""
    options = parser().parse_args(arguments)
    try:
        recipe = chosen_recipe(options)
        options.output = options.output or Path(recipe.name or Path(options.model).stem)
        action = estimate if options.dry_run else search_bits if options.search_bits else export
        print(action(options, recipe))
    except ExportError as error:
        print(f"edge-export: {error}", file=sys.stderr)
        return 1
    return 0


def export(options: argparse.Namespace, recipe: Recipe) -> str:
    """Make the bundle, unless it is to be left where there is one; a few lines about it."""
    started, target = time.monotonic(), options.output
    there = f"{target}: is there already"
    if options.if_missing and is_there(target):
        return there
    check_free(target, options.force)
    with staging(target, options.if_missing) as folder, Progress() as progress:
        if options.if_missing and is_there(target):  # another export has made it meanwhile
            return there
        bundle = fill(folder, opened(options, recipe), recipe, target, options.force, progress.report)
    return (
        f"{described(bundle)}\ntook {time.monotonic() - started:.0f} s and {peak_mebibytes()} MiB of memory at the most"
    )


def is_there(target: Path) -> bool:
    """Whether a bundle lies there."""
    return (target / MANIFEST).is_file()


def described(bundle: Bundle) -> str:
    """What was made, in two lines."""
    manifest = bundle.manifest
    return (
        f"{bundle.path}: {manifest.name}, {manifest.weights_bytes / 1e6:.1f} MB of weights,"
        f" {manifest.quantization.bits_per_weight} bits a weight, {manifest.context_length} tokens of context\n"
        f"{lost(manifest.fidelity)}"
    )


def opened(options: argparse.Namespace, recipe: Recipe) -> Source:
    """The model, downloaded where it is not there, with the adapter merged into it."""
    try:
        source = open_source(locate(options.model, recipe, options.cache))
        return AdapterSource(source, options.adapter) if options.adapter else source
    except OSError as error:
        raise SourceError(f"{options.model} cannot be read or kept: {error}") from error


def lost(fidelity: Mapping[str, float]) -> str:
    """What the bundle lost, in a line."""
    if "kl_mean" not in fidelity:
        return "what it lost was not measured"
    return (
        f"KL divergence from its source {fidelity['kl_mean']:.3f}, same likeliest token"
        f" {fidelity['top1_agreement']:.1%}, perplexity {fidelity['perplexity']:.2f}"
        f" (source {fidelity['reference_perplexity']:.2f})"
    )


def estimate(options: argparse.Namespace, recipe: Recipe) -> str:
    """What the export will need, and what there is."""
    plan = plan_of(known_config(options.model, recipe, options.cache), recipe)
    wanted, have = needs(plan), room(options.output)
    return (
        f"{options.model} will need {wanted.text()}\n"
        f"there are {have.disk_bytes / 1e6:.0f} MB of disk and {have.memory_bytes / 2**30:.1f} GiB of memory free"
    )


def parser() -> argparse.ArgumentParser:
    """The arguments, with what they mean."""
    known = ", ".join(sorted(recipes()))
    made = argparse.ArgumentParser(
        prog="edge-export", description="Turn a model into an INT4 ONNX bundle.", allow_abbrev=False
    )
    made.add_argument(
        "model", help=f"a recipe ({known}), a .gguf file, a Hugging Face folder, or NAME@COMMIT on the hub"
    )
    made.add_argument("-o", "--output", type=Path, metavar="DIR", help="the bundle to make (default: the model's name)")
    made.add_argument("--recipe", metavar="NAME", help="the recipe for a file or folder (default: its family's)")
    made.add_argument(
        "--method", choices=[*METHODS, "none"], help="how to round; rtn is quick and loses more, gptq loses least"
    )
    made.add_argument("--calibration", type=Path, metavar="FILE", help="text like what the model will read")
    made.add_argument("--evaluation", type=Path, metavar="FILE", help="text to measure the loss on")
    made.add_argument("--pictures", type=Path, metavar="DIR", help="pictures like those that the model will see")
    made.add_argument("--provider", choices=["cpu", "cuda"], help="the execution provider that the bundle is for")
    made.add_argument(
        "--kv-cache", choices=["auto", "float", "int8"], help="what keys and values are kept in; int8 takes a quarter"
    )
    made.add_argument(
        "--warm", type=Path, action="append", metavar="FILE", help="a system prompt to know from the first start"
    )
    made.add_argument("--allow-loss", action="store_true", help="pack the bundle whatever it lost")
    made.add_argument("--requantize", action="store_true", help="round Q4_0 and Q8_0 blocks anew, too")
    made.add_argument("--context", type=int, metavar="TOKENS", help="tokens of prompt and answer together")
    made.add_argument("--name", help="the bundle's name in its manifest")
    made.add_argument("--adapter", type=Path, metavar="DIR", help="a LoRA adapter to merge into the model")
    made.add_argument("--dry-run", action="store_true", help="say what disk, memory and time it will take, and stop")
    made.add_argument("--search-bits", type=float, metavar="MB", help="measure which tensors a size should give 8 bits")
    there = made.add_mutually_exclusive_group()
    there.add_argument("--force", action="store_true", help="replace DIR where it exists")
    there.add_argument(
        "--if-missing", action="store_true", help="leave a bundle that is there; wait where another export makes it"
    )
    made.add_argument("--cache", type=Path, default=None, metavar="DIR", help="where downloads are kept")
    return made


def chosen_recipe(options: argparse.Namespace) -> Recipe:
    """The named recipe, else the one of the model's family, with what the command line changes."""
    known = recipes()
    on_hub = None if Path(options.model).exists() else parse(options.model)
    name = options.recipe or (options.model if options.model in known else "")
    where = dict(zip(("repository", "revision"), on_hub, strict=True)) if on_hub else {}
    if name not in known:
        if name or not (on_hub or Path(options.model).exists()):
            raise SourceError(
                f"{name or options.model} is no file, no folder and no recipe; recipes: {', '.join(known)}"
            )
        config = known_config(options.model, Recipe(licence="").model_copy(update=where), options.cache).config
        name = family_of((config.get("architectures") or ["none"])[0]).name
    return known[name].model_copy(update={**where, **asked(options)})


def search_bits(options: argparse.Namespace, recipe: Recipe) -> str:
    """Which tensors a budget should give 8 bits, as a recipe's overrides."""
    plan = make_plan(opened(options, recipe), recipe)
    with Progress() as progress:
        return as_recipe(*search(plan, int(options.search_bits * 1e6), progress.report))


def asked(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of a recipe's fields."""
    changes = {"method": options.method, "context_length": options.context, "name": options.name}
    changes |= {"provider": options.provider, "kv_cache": options.kv_cache}
    changes |= {"calibration_text": options.calibration, "evaluation_text": options.evaluation}
    changes["sample_pictures"] = options.pictures
    changes["warm"] = tuple(options.warm) if options.warm else None
    changes["keep_blocks"] = False if options.requantize else None
    changes["limits"] = Limits(kl_mean=1e9, top1_agreement=0) if options.allow_loss else None
    return {key: value for key, value in changes.items() if value is not None}
