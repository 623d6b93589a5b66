"""`python -m edge.testing`: the daemon with a scripted engine, until SIGTERM; exit statuses are `edge serve`'s."""

from __future__ import annotations

import argparse
import asyncio
import sys
from functools import partial
from pathlib import Path

from edge.commands import logs
from edge.commands.serve import serve
from edge.config import load_settings
from edge.errors import EdgeError
from edge.service.bundles import Bundles
from edge.service.served import Served
from edge.store.store import Store
from edge.testing import ScriptedEngine, scripted_manifest
from edge.testing.bundles import opened
from edge.testing.vectors import SCRIPTED


def main() -> int:
    """Serve a model that does not exist; bundles of the store are scripted ones, too."""
    parser = argparse.ArgumentParser(prog="python -m edge.testing", description=__doc__, allow_abbrev=False)
    parser.add_argument("--pause-seconds", type=float, default=0.0, help="before each piece of an answer")
    parser.add_argument("--pieces", type=int, default=2, help="pieces of an answer")
    parser.add_argument("--vectors", action="store_true", help="bring an embedding model, which is scripted, too")
    parser.add_argument("--log", type=Path, help="file that gets the prompt of each job as it is begun")
    parser.add_argument("--call", help="what it says until it is told a result of it")
    options = parser.parse_args()
    engine = ScriptedEngine(("word ",) * options.pieces, options.pause_seconds, options.log)
    if options.call:
        engine.says = lambda job: engine.pieces if "Result of" in job.messages[-1]["content"] else (options.call,)
    try:
        settings = load_settings()
        logs.set_up(settings.log_level)
        store = Store(settings.store.folder)
        own = Served(scripted_manifest(sentences=SCRIPTED if options.vectors else None), engine)
        others = partial(opened, store, engine, log=options.log)
        bundles = Bundles(store, lambda digest: own if digest is None else others(digest))
        asyncio.run(serve(settings, bundles))
    except EdgeError as error:
        print(f"edge.testing: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
