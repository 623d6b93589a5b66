"""`edge-export MODEL -o DIR`: the command line of the export."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.bundle import MANIFEST, Bundle
from edge.engine.providers import ROWS
from export.adopted import measure
from export.arguments import check_files, kept_in, model, name, path, questions, tokens, version
from export.budget import add_budget, budgeted
from export.download import is_here, known_config, locate
from export.errors import ExportError, SourceError
from export.estimate import as_fields, needs, room
from export.families import family_of_config
from export.oracle import check_installed, is_gguf
from export.pipeline import fill, tell
from export.plan import named, plan_of
from export.progress import Progress, peak_mebibytes
from export.quantize import METHODS
from export.recipe import Limits, Recipe, recipes
from export.sentences.adding import Additions, documents, enlarge
from export.sentences.known import KNOWN, folder_of
from export.source import Source, open_source
from export.source.adapter import AdapterSource
from export.source.hub import parse
from export.source.text_part import text_part
from export.target import check_free, default_place, is_there, place_of
from export.tasks.questions import QUESTIONS_MAX
from export.tasks.tally import table
from export.workshop import staging

ADDING = ("model", "output", "sentences", "documents", "adapter", "keep_apart", "version", "force", "cache")
"""What the command line may say of a finished bundle."""
WHEEL = "a board needs the library tokenizers to read its tokens: `pip install --no-deps 'tokenizers>=0.22,<1'`"


def run(words: list[str] | None = None) -> int:
    """Export one model; exit status 0, or 1 with a sentence on standard error."""
    try:
        options = parser().parse_args(words)
    except SystemExit as end:  # --help, or what cannot be understood
        return int(end.code or 0)
    try:
        check_files(options)
        if options.sentences:
            options.sentences = folder_of(options.sentences, options.cache)
        if options.measure:
            print(measured(options))
        else:
            print(enlarged(options) if is_finished(Path(options.model)) else made(options))
    except ExportError as error:
        print(f"edge-export: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        what = os.fspath(error.filename or options.model)
        print(f"edge-export: {what[:200]} cannot be used: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def made(options: argparse.Namespace) -> str:
    """What the command line asks of a model."""
    additions(options).check()
    if options.json and not options.dry_run:
        raise SourceError("--json is how --dry-run tells programs; pass both, or neither")
    if options.oracle:
        check_installed(is_gguf(Path(options.model)), bool(options.adapter))
    recipe = chosen_recipe(options)
    recipe = budgeted(options, recipe, lambda each: plan_of(known_config(options.model, each, options.cache), each))
    options.output = chosen_place(options, recipe)
    return (estimate if options.dry_run else export)(options, recipe)


def measured(options: argparse.Namespace) -> str:
    """What a finished bundle lost to the model that the command line names; it is in its manifest then."""
    usual = vars(parser().parse_args([options.model]))
    known = ("model", "measure", "recipe", "evaluation", "task_questions", "cache")
    if strange := [key for key, value in vars(options).items() if key not in known and value != usual[key]]:
        raise SourceError(
            f"--measure is for a bundle that is there, and --{strange[0].replace('_', '-')} is not for it"
        )
    recipe = chosen_recipe(options)
    with Progress() as progress:
        bundle, counts = measure(place_of(options.measure), opened(options, recipe), recipe, progress.report)
    by_kind = f"\n{table(counts)}" if counts else ""
    return f"{bundle.path}: {lost(bundle.manifest.fidelity)}{held(bundle.manifest.held_to)}{by_kind}"


def is_finished(path: Path) -> bool:
    """Whether a path is a bundle, and no model that one would be made of."""
    return (path / MANIFEST).is_file() and not (path / "config.json").exists()


def enlarged(options: argparse.Namespace) -> str:
    """Add to a finished bundle what the command line says; a line about it."""
    usual = vars(parser().parse_args([options.model]))
    if strange := [key for key, value in vars(options).items() if key not in ADDING and value != usual[key]]:
        raise SourceError(f"{options.model} is a finished bundle, which --{strange[0].replace('_', '-')} is not for")
    if options.adapter and not options.keep_apart:
        raise SourceError(f"{options.model} is a finished bundle; --keep-apart adds adapters that are not merged")
    if not any(getattr(options, key) for key in ("sentences", "documents", "adapter", "version")):
        raise SourceError(
            f"{options.model} is a finished bundle; --sentences DIR and --documents FILE add to it,"
            " and --adapter DIR --keep-apart"
        )
    output = place_of(options.output) if options.output else None
    bundle = enlarge(place_of(Path(options.model)), additions(options), output, options.force)
    brings = bundle.manifest.sentences
    said = f"{bundle.path}: version {bundle.manifest.version}, documents: {', '.join(documents(bundle)) or 'none'}"
    adapters = ", ".join(each.name for each in bundle.manifest.adapters)
    more = f"; adapters: {adapters}" if adapters else ""
    return f"{said}; embedding model: {brings.name if brings else 'none'}{more}"


def additions(options: argparse.Namespace) -> Additions:
    """What the command line adds to a bundle."""
    adapters = tuple(options.adapter or ()) if options.keep_apart else ()
    return Additions(options.sentences, tuple(options.documents or ()), options.version or "", adapters)


def export(options: argparse.Namespace, recipe: Recipe) -> str:
    """Make the bundle, unless it is to be left where there is one; a few lines about it."""
    started, target = time.monotonic(), options.output
    there = f"{target}: is there already"
    if options.if_missing and is_there(target):
        return there
    used = [file for file in (Path(options.model), *(options.adapter or ()), *recipe.files) if file]
    check_free(target, options.force, used, kept_in(options))
    with staging(target, options.if_missing) as workshop, Progress() as progress:
        if options.if_missing and is_there(target):  # another export has made it meanwhile
            return there
        beside = additions(options).adapters
        bundle = fill(workshop, opened(options, recipe), recipe, target, options.force, progress.report, used, beside)
    return (
        f"{described(bundle)}\ntook {time.monotonic() - started:.0f} s and {peak_mebibytes()} MiB of memory at the most"
    )


def chosen_place(options: argparse.Namespace, recipe: Recipe) -> Path:
    """Where the bundle goes: as the command line says, else the model's name, which is said then."""
    if options.output is None:
        options.output = default_place(named(recipe, Path(options.model)), Path(options.model))
        if not options.dry_run:
            print(f"edge-export: the bundle goes to {options.output}; -o DIR names another place", file=sys.stderr)
    return place_of(options.output)


def described(bundle: Bundle) -> str:
    """What was made, in two lines; in a third what a board needs beside, if anything."""
    manifest = bundle.manifest
    wheel = "" if manifest.tokenizer == "onnxruntime-genai" else f"\n{WHEEL}"
    return (
        f"{bundle.path}: {manifest.name}, {manifest.weights_bytes / 1e6:.1f} MB of weights,"
        f" {manifest.quantization.bits_per_weight} bits a weight, {manifest.context_length} tokens of context\n"
        f"{lost(manifest.fidelity)}{held(manifest.held_to)}{wheel}"
    )


def opened(options: argparse.Namespace, recipe: Recipe) -> Source:
    """The model, downloaded where it is not there, with the adapter merged into it, unless it is to stay apart."""
    try:
        source = open_source(locate(options.model, recipe, options.cache))
        for folder in options.adapter or ():
            merged = AdapterSource(source, folder)  # refuses what does not fit, before hours go into the weights
            source = source if options.keep_apart else merged
        return source
    except OSError as error:
        raise SourceError(f"{options.model} cannot be read or kept: {error}") from error


def lost(fidelity: Mapping[str, float]) -> str:
    """What the bundle lost, in a line."""
    if "kl_mean" not in fidelity:
        return f"what it lost was not measured{by_tasks(fidelity)}"
    return (
        f"KL divergence from its source {fidelity['kl_mean']:.3f}, same likeliest token"
        f" {fidelity['top1_agreement']:.1%}, perplexity {fidelity['perplexity']:.2f}"
        f" (source {fidelity['reference_perplexity']:.2f})"
        f"{by_oracle(fidelity)}{by_tasks(fidelity)}"
    )


def by_tasks(fidelity: Mapping[str, float]) -> str:
    """What it kept of its source's answers, in a line, where both were asked."""
    if "tasks_kept" not in fidelity:
        return ""
    return (
        f"\nof {fidelity['tasks_questions']:.0f} task questions {fidelity['tasks_kept']:.1%} are answered as by its"
        f" source (of the sure ones {fidelity['tasks_kept_sure']:.1%}), {fidelity['tasks_right']:.1%} rightly"
        f" (source {fidelity['tasks_right_source']:.1%})"
    )


def by_oracle(fidelity: Mapping[str, float]) -> str:
    """What it lost against Transformers itself, in a line, where that was measured."""
    if "oracle_kl_mean" not in fidelity:
        return ""
    return (
        f"\nagainst Transformers itself {fidelity['oracle_kl_mean']:.3f}, same likeliest token"
        f" {fidelity['oracle_top1_agreement']:.1%}; the export's reading of the source is"
        f" {fidelity['oracle_reading_kl']:.1g} from it"
    )


def held(versions: Sequence[str]) -> str:
    """A line where this kind of checkpoint was never held to Transformers."""
    if versions:
        return ""
    return "\nno test of this export holds a checkpoint of this kind to Transformers; --oracle measures against it"


def estimate(options: argparse.Namespace, recipe: Recipe) -> str:
    """What the export will need, and what there is."""
    plan = plan_of(known_config(options.model, recipe, options.cache), recipe)
    tell(plan)
    wanted, have = needs(plan), room(options.output)
    if options.json:
        is_downloaded = is_here(options.model, recipe, options.cache)
        return json.dumps({"model": options.model, "is_here": is_downloaded, **as_fields(plan, wanted, have)})
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
        "model",
        type=model,
        help=f"a recipe ({known}), a .gguf file, a Hugging Face folder, NAME@COMMIT on the hub, or a finished bundle"
        " that --sentences and --documents add to",
    )
    made.add_argument("-o", "--output", type=path, metavar="DIR", help="the bundle to make (default: the model's name)")
    made.add_argument("--recipe", metavar="NAME", help="the recipe for a file or folder (default: its family's)")
    made.add_argument(
        "--method", choices=[*METHODS, "none"], help="how to round; rtn is quick and loses more, gptq loses least"
    )
    made.add_argument("--calibration", type=path, metavar="FILE", help="text like what the model will read")
    made.add_argument("--evaluation", type=path, metavar="FILE", help="text to measure the loss on")
    asks = f"questions with answers that can be checked, asked of model and bundle; {QUESTIONS_MAX} at most, 0 for none"
    made.add_argument("--task-questions", type=questions, metavar="COUNT", help=asks)
    made.add_argument("--pictures", type=path, metavar="DIR", help="pictures like those that the model will see")
    made.add_argument("--provider", choices=[row.name for row in ROWS], help="the execution provider that it is for")
    made.add_argument("--soc", metavar="NAME", help="with --provider qnn: compile it ahead for a system on a chip")
    made.add_argument(
        "--kv-cache", choices=["auto", "float", "int8"], help="what keys and values are kept in; int8 takes a quarter"
    )
    made.add_argument("--golden", type=path, metavar="FILE", help="what a board asks before it keeps the bundle")
    made.add_argument("--warm", type=path, action="append", metavar="FILE", help="a system prompt to know at once")
    add_what_is_beside(made)
    made.add_argument("--allow-loss", action="store_true", help="pack the bundle whatever it lost")
    made.add_argument(
        "--oracle",
        action="store_true",
        help="measure against Transformers itself, too; wants torch, and 4 bytes of memory a weight (GGUF: 8)",
    )
    made.add_argument("--requantize", action="store_true", help="round Q4_0 and Q8_0 blocks anew, too")
    bundle = "a finished bundle, whose loss to MODEL is measured and written into its manifest"
    made.add_argument("--measure", type=path, metavar="BUNDLE", help=bundle)
    made.add_argument("--context", type=tokens, metavar="TOKENS", help="tokens of prompt and answer together")
    made.add_argument("--name", type=name, help="the bundle's name in its manifest")
    add_budget(made)
    add_what_is_only_told(made)
    there = made.add_mutually_exclusive_group()
    there.add_argument("--force", action="store_true", help="replace the bundle DIR; whatever is no bundle stays")
    there.add_argument(
        "--if-missing", action="store_true", help="leave a bundle that is there; wait where another export makes it"
    )
    made.add_argument("--cache", type=path, default=None, metavar="DIR", help="where downloads are kept")
    return made


def add_what_is_only_told(made: argparse.ArgumentParser) -> None:
    """What makes no bundle."""
    made.add_argument("--dry-run", action="store_true", help="say what disk, memory and time it will take, and stop")
    made.add_argument("--json", action="store_true", help="with --dry-run: for programs, as one JSON object")


def add_what_is_beside(made: argparse.ArgumentParser) -> None:
    """The arguments for what a bundle brings beside its model, a finished one's, too."""
    merged = "a LoRA adapter to merge into the model; with --keep-apart as many as wanted"
    made.add_argument("--adapter", type=path, action="append", metavar="DIR", help=merged)
    apart = "do not merge adapters: each request chooses one of them, or none"
    made.add_argument("--keep-apart", action="store_true", help=apart)
    made.add_argument(
        "--sentences",
        type=path,
        metavar="DIR",
        help=f"what documents are found with: a folder of sentence-transformers, or {' '.join(KNOWN)}",
    )
    made.add_argument(
        "--documents", type=path, action="append", metavar="FILE", help="an index of documents to bring along"
    )
    made.add_argument("--version", type=version, metavar="NAME", help="the bundle's version in its manifest")


def chosen_recipe(options: argparse.Namespace) -> Recipe:
    """The named recipe, else the one of the model's family, with what the command line changes."""
    known = recipes()
    on_hub = None if Path(options.model).exists() else parse(options.model)
    chosen = options.recipe or (options.model if options.model in known else "")
    where = dict(zip(("repository", "revision"), on_hub, strict=True)) if on_hub else {}
    if chosen not in known:
        if chosen or not (on_hub or Path(options.model).exists()):
            raise SourceError(
                f"{chosen or options.model} is no file, no folder and no recipe; recipes: {', '.join(known)}"
            )
        known_source = known_config(options.model, Recipe(licence="").model_copy(update=where), options.cache)
        chosen = family_of_config(text_part(known_source).config).name
    return known[chosen].model_copy(update={**where, **asked(options)})


def asked(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of a recipe's fields."""
    changes = {"method": options.method, "context_length": options.context, "name": options.name}
    changes |= {"provider": options.provider, "kv_cache": options.kv_cache, "soc": options.soc}
    changes |= {"calibration_text": options.calibration, "evaluation_text": options.evaluation}
    changes |= {"task_questions": options.task_questions, "oracle": options.oracle or None}
    changes["sample_pictures"] = options.pictures
    changes["golden"] = options.golden
    changes |= {"sentences": options.sentences, "version": options.version}
    changes["documents"] = tuple(options.documents) if options.documents else None
    changes["warm"] = tuple(options.warm) if options.warm else None
    changes["keep_blocks"] = False if options.requantize else None
    changes["limits"] = Limits(kl_mean=1e9, top1_agreement=0) if options.allow_loss else None
    return {key: value for key, value in changes.items() if value is not None}
