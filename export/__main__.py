"""`edge-export MODEL -o DIR`: the command line of the export."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from export.download import fetch
from export.errors import ExportError, SourceError
from export.pipeline import export_bundle
from export.progress import Progress
from export.quantize import METHODS
from export.recipe import Limits, Recipe, recipes


def main(arguments: list[str] | None = None) -> int:
    """Export one model; exit status 0, or 1 with a sentence on standard error."""
    options = parser().parse_args(arguments)
    try:
        recipe = chosen_recipe(options)
        path = Path(options.model)
        source = path if path.exists() else fetch(recipe, options.cache)
        with Progress() as progress:
            bundle = export_bundle(source, recipe, options.output, options.force, progress.report)
    except ExportError as error:
        print(f"edge-export: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("edge-export: stopped; nothing was left behind", file=sys.stderr)
        return 130
    manifest = bundle.manifest
    print(
        f"{bundle.path}: {manifest.name}, {manifest.weights_bytes / 1e6:.1f} MB of weights,"
        f" {manifest.quantization.bits_per_weight} bits a weight, {manifest.context_length} tokens of context"
    )
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments, with what they mean."""
    known = ", ".join(sorted(recipes()))
    made = argparse.ArgumentParser(prog="edge-export", description="Turn a model into an INT4 ONNX bundle.")
    made.add_argument("model", help=f"a recipe ({known}), a .gguf file, or a Hugging Face folder")
    made.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the bundle to make")
    made.add_argument("--recipe", metavar="NAME", help="the recipe for a file or folder (default: its family's)")
    made.add_argument("--method", choices=METHODS, help="how to round; rtn is quick and loses more, gptq loses least")
    made.add_argument("--allow-loss", action="store_true", help="pack the bundle whatever it lost")
    made.add_argument("--requantize", action="store_true", help="round Q4_0 and Q8_0 blocks anew, too")
    made.add_argument("--context", type=int, metavar="TOKENS", help="tokens of prompt and answer together")
    made.add_argument("--name", help="the bundle's name in its manifest")
    made.add_argument("--force", action="store_true", help="replace DIR where it exists")
    made.add_argument("--cache", type=Path, default=None, metavar="DIR", help="where downloads are kept")
    return made


def chosen_recipe(options: argparse.Namespace) -> Recipe:
    """The named recipe with what the command line changes."""
    known = recipes()
    name = options.recipe or (options.model if options.model in known else "")
    if not name and Path(options.model).exists():
        recipe = Recipe(licence="see the source")
    elif name in known:
        recipe = known[name]
    else:
        raise SourceError(f"{name or options.model} is no file, no folder and no recipe; recipes: {', '.join(known)}")
    changes = {"method": options.method, "context_length": options.context, "name": options.name}
    changes["keep_blocks"] = False if options.requantize else None
    changes["limits"] = Limits(kl_mean=1e9, top1_agreement=0) if options.allow_loss else None
    return recipe.model_copy(update={key: value for key, value in changes.items() if value is not None})


if __name__ == "__main__":
    raise SystemExit(main())
