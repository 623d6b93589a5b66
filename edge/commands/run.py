"""`edge run MODEL [QUESTION]`: a model by name, found or made, served where nothing serves it, and asked.

Start reading in `main`. `catalogue.py` has the names, `bundle_places.py` where a bundle may lie, `bundle_made.py` how
one is made, `run_service.py` who answers, `run_talk.py` what is asked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.bundle import MANIFEST, read_manifest
from edge.commands import bundle_made, bundle_places
from edge.commands.answering import add_answering
from edge.commands.bundle_cache import pulled
from edge.commands.bundle_made import tell
from edge.commands.catalogue import Entry, named, read_catalogue
from edge.commands.connection import add_connection, connected_settings, seconds
from edge.commands.inputs import said
from edge.commands.run_host import DEVICE
from edge.commands.run_service import served, standing
from edge.commands.run_talk import question, talk
from edge.config import Broker, Settings
from edge.errors import BrokerError, BundleError

KEEP_SECONDS = 300.0
"""How long a model that is kept waits for the next question."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, what to ask it, and what becomes of it afterwards."""
    parser.epilog = (
        "A bundle is looked for in the board's store, then in the cache ($XDG_CACHE_HOME/edge-slm); else it comes from"
        " the channel that is configured, else edge-export makes it. Who answers is the configured board, where it has"
        " the model; else a daemon on this machine's loopback, for this call. Exit statuses are those of `edge ask`."
    )
    parser.add_argument("model", type=said, help="a name (`edge bundle list` shows them), or a bundle's folder")
    parser.add_argument(
        "prompt", nargs="?", type=said, help="the question; without one a conversation, or standard input where piped"
    )
    parser.add_argument("--yes", action="store_true", help="make the bundle without asking, however long it takes")
    parser.add_argument(
        "--catalogue", type=Path, metavar="FILE", help="models of your own by name (docs/run.md), before ours"
    )
    parser.add_argument("--keep", action="store_true", help="leave the model loaded for the next `edge run`")
    parser.add_argument(
        "--keep-alive",
        type=seconds,
        metavar="SECONDS",
        help=f"the same, until so long nobody has asked (default: {KEEP_SECONDS:.0f})",
    )
    add_answering(parser)
    add_connection(parser, "ask")


def main(options: argparse.Namespace) -> int:
    """Find or make, serve, ask; exit statuses as `edge ask`, and those of a bundle that cannot be had or served."""
    settings = connected_settings(options)
    request = question(options)
    place = Path(options.model)
    entry = None if is_bundle(options.model) else named(options.model, read_catalogue(options.catalogue))
    if entry is not None:
        model = standing_model(settings, options, entry)
        if model is not None:
            return talk(settings, options, request, model)
        place = had(entry, settings, options.yes)
    keep = options.keep_alive or (KEEP_SECONDS if options.keep else None)
    with served(place, keep) as port:
        here = settings.model_copy(update={"broker": Broker(port=port), "device": DEVICE})
        return talk(here, options, request, None)


def is_bundle(word: str) -> bool:
    """Whether a word is a bundle's folder, and no name; BundleError for a path that is none."""
    path = Path(word)
    if "/" in word and not path.is_dir():
        raise BundleError(f"{word} is no folder with a bundle; a name of `edge bundle list` has no slash")
    if "/" in word:
        read_manifest(path)  # says why it is none
    return (path / MANIFEST).is_file()


def standing_model(settings: Settings, options: argparse.Namespace, entry: Entry) -> str | None:
    """What the board calls the model that is wanted; None where it is not there, or has it not.

    BrokerError for that where the command line names a board.
    """
    is_asked_for = bool(options.broker or options.device)
    try:
        model = standing(settings, entry.names)
    except BrokerError as error:
        if is_asked_for:
            raise
        tell(f"edge run: the configured broker does not take us ({error}); going on without it")
        return None
    if model is None and is_asked_for:
        where = f"{settings.device} at {settings.broker.host}:{settings.broker.port}"
        raise BrokerError(f"no board {where} answers with {entry.bundle}: `edge status` says what it has")
    return model


def had(entry: Entry, settings: Settings, is_agreed: bool) -> Path:
    """A model's bundle on this machine, had from a channel or made where there is none."""
    here = bundle_places.found(entry, settings)
    if here is not None:
        return here.path
    if settings.store.repository is not None:
        place = pulled(entry.bundle)
        if place is not None:
            return place
    return bundle_made.make(entry, settings.engine.provider, is_agreed)
