"""`python -m benchmarks --bundle PATH [ONLY…]`: measure, print a line each, write figures.json."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import (
    adapters,
    adopted,
    alone,
    assist_intents,
    assist_prompt,
    bare_root,
    beams,
    beside_llama,
    builder,
    cancel,
    clone,
    contexts,
    decode,
    documents,
    documents_asked,
    drafted,
    durability,
    egress,
    embeddings,
    fidelity,
    fleet,
    full_size,
    fuzz,
    gguf_files,
    governor,
    guest,
    home_assistant,
    hostile,
    hours,
    house,
    http_door,
    installs,
    kiosk,
    kv_cache,
    loops,
    misread,
    moe_width,
    packages,
    page,
    parent,
    pictures,
    places,
    power_cuts,
    prefill,
    prefixes,
    proofs,
    qnn,
    rollbacks,
    run_by_name,
    signatures,
    soak,
    startup,
    strangers,
    tasks,
    telemetry,
    together,
    tokens,
    tower,
    true_shapes,
    unquantised,
    upstream,
    vision_full_size,
    waves,
)
from benchmarks.figure import Figure

MEASURES: dict[str, Callable[[Path], list[Figure]]] = {
    "parent": parent.measure,
    "prefill": prefill.measure,
    "decode": decode.measure,
    "egress": egress.measure,
    "cancel": cancel.measure,
    "adapters": adapters.measure,
    "documents-asked": documents_asked.measure,
    "embeddings": embeddings.measure,
    "http": http_door.measure,
    "durability": durability.measure,
    "rollbacks": rollbacks.measure,
    "documents": documents.measure,
    "hostile": hostile.measure,
    "fuzz": fuzz.measure,
    "strangers": strangers.measure,
    "hours": hours.measure,
    "soak": soak.measure,
    "kiosk": kiosk.measure,
    "fleet": fleet.measure,
    "telemetry": telemetry.measure,
    "pictures": pictures.measure,
    "contexts": contexts.measure,
    "house": house.measure,
    "installs": installs.measure,
    "power-cuts": power_cuts.measure,
    "signatures": signatures.measure,
    "signature-vectors": signatures.measure_vectors,
    "waves": waves.measure,
    "upstream": upstream.measure,
    "governor": governor.measure,
    "home-assistant": home_assistant.measure,
    "tokens": tokens.measure,
    "loops": loops.measure,
    "demo": clone.measure_demo,
    "two-makes": clone.measure_two,
    "test": clone.measure_test,
    "wheel": clone.measure_wheel,
    "bare": bare_root.measure,
    "fidelity": fidelity.measure,
    "other-text": fidelity.measure_other_text,
    "int8-cache": fidelity.measure_int8_cache,
    "kv-cache": kv_cache.measure,
    "unquantised": unquantised.measure,
    "tasks": tasks.measure,
    "qnn": qnn.measure,
    "proofs": proofs.measure,
    "misread": misread.measure,
    "beams": beams.measure,
    "adopted": adopted.measure,
    "run": run_by_name.measure,
    "moe-width": moe_width.measure,
    "builder": builder.measure,
    "gguf-files": gguf_files.measure,
    "alone": alone.measure,
    "together": together.measure,
    "prefixes": prefixes.measure,
    "assist-prompt": assist_prompt.measure,
    "assist-intents": assist_intents.measure,
    "startup": startup.measure,
    "packages": packages.measure,
    "guest": guest.measure,
    "tower": tower.measure,
    "draft": drafted.measure,
    "places": places.measure,
    "alone-full-size": alone.measure_full_size,
    "full-size": full_size.measure,
    "true-shapes": true_shapes.measure,
    "true-shapes-speed": beside_llama.measure,
    "vision-full-size": vision_full_size.measure,
}
"""Quick ones first. The last ones build llama.cpp and export a model of full size: an hour and more."""


def main() -> int:
    """Exit status 1 where a figure is short of its bar, or could not be measured here."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument("only", nargs="*", choices=[[], *MEASURES], help="what to measure (default: everything)")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("figures.json"), help="where the JSON goes")
    parser.add_argument("--readme", action="store_true", help="write docs/figures.md, its charts, the README's five")
    options = parser.parse_args()
    figures = list(measured(options.only or list(MEASURES), options.bundle))
    kept = keep(options.output, figures)
    if options.readme:
        page.write(kept)
    return 0 if all(figure.ok for figure in figures) else 1


def measured(names: list[str], bundle: Path) -> Iterator[Figure]:
    """The figures of some measures, each printed as it comes."""
    for name in names:
        print(f"measuring {name}…", file=sys.stderr, flush=True)
        try:
            figures = MEASURES[name](bundle)
        except RuntimeError as error:
            print(f"{name} cannot be measured here: {error}", file=sys.stderr, flush=True)
            figures = [Figure(f"{name}_measured", 0, "", "==", 1)]
        for figure in figures:
            print(figure.line(), flush=True)
            yield figure


def keep(path: Path, figures: list[Figure]) -> dict[str, Any]:
    """Put figures into the JSON file, over the older ones of the same names; all that it holds then."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    for figure in figures:
        if figure.name.endswith("_measured"):
            continue
        kept[figure.name] = {**asdict(figure), "ok": figure.ok, "machine": machine, "time": int(time.time())}
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    return kept


if __name__ == "__main__":
    raise SystemExit(main())
