"""`edge documents`: indexes of folders that answers come from: made, listed, tried, removed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.commands.streams import progress
from edge.config import load_settings
from edge.documents import Embed, Found
from edge.documents.adding import Added, add
from edge.documents.folder import File
from edge.documents.schema import SUFFIX
from edge.documents.search import NAME, Index, find_index, names, open_index
from edge.errors import DocumentsError, UsageError
from edge.store.store import act_as_owner

FOUND_MAX = 100
SKIPPED_SHOWN = 20
SHOWN_CHARS = 240
"""Of a piece, where it is one of several."""
HELP = "text, Markdown, HTML and PDF below a folder become an index that answers are found in (docs/documents.md)"
Vectorised = tuple[Embed | None, str]
"""What embeds and its digest; None and "" where the bundle has nothing of the kind."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    adding = _action(actions, "add", HELP)
    adding.add_argument("source", metavar="FOLDER", type=Path, help="folder of documents; read with those below it")
    adding.add_argument("--name", help="what requests call the index (default: the folder's name)")
    _common(adding)
    listed = _action(actions, "list", "the indexes that are there, and what each holds")
    listed.add_argument("--into", metavar="FOLDER", type=Path, help=_INTO)
    search = _action(actions, "search", "the pieces that a question gets, with their scores")
    search.add_argument("name", metavar="NAME", help="which index, or the path of one")
    search.add_argument("question")
    search.add_argument("--limit", type=int, default=5, help=f"pieces at most, to {FOUND_MAX} (default: 5)")
    _common(search)
    removing = _action(actions, "remove", "delete an index; the documents stay")
    removing.add_argument("name", metavar="NAME")
    removing.add_argument("--into", metavar="FOLDER", type=Path, help=_INTO)


_INTO = "where the indexes lie (default: `documents` below journal.folder, where the daemon looks)"


def _action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--into", metavar="FOLDER", type=Path, help=_INTO)
    parser.add_argument(
        "--bundle",
        type=Path,
        help="bundle whose embedding model finds meanings, if it has one (default: engine.bundle)",
    )


def main(options: argparse.Namespace) -> int:
    """Do it; an exit status."""
    ACTIONS[options.action](options)
    return 0


def make(options: argparse.Namespace) -> None:
    """Index a folder."""
    source = options.source.absolute()
    name = _fit(options.name or source.resolve().name)
    into = _folder(options)
    act_as_owner(into)
    path = into / f"{name}{SUFFIX}"
    embed, embedder = _embedder(_bundle(options))
    try:
        added = add(source, path, embed, embedder, _show)
    finally:
        progress("")
    _tell_skipped(added)
    print(_summary(name, path, added, embedder))


def _show(what: str, done: int, of: int) -> None:
    progress(f"{what}: {done} of {of}")


def _fit(name: str) -> str:
    """A name that requests can call."""
    if not NAME.fullmatch(name):
        raise UsageError(f"--name: {name!r} must be letters, digits, dots, dashes and underlines, 64 at most")
    return name


def _tell_skipped(added: Added) -> None:
    for file in added.guessed:
        print(f"{file.path}: {file.why}", file=sys.stderr)
    for file in added.skipped[:SKIPPED_SHOWN]:
        print(f"{file.path}: skipped: {file.why}", file=sys.stderr)
    if rest := added.skipped[SKIPPED_SHOWN:]:
        print(f"and {len(rest)} more files skipped: {_kinds(rest)}", file=sys.stderr)


def _kinds(files: list[File]) -> str:
    """Reasons, the most frequent first, with how often each comes."""
    reasons = [file.why for file in files]
    order = sorted(set(reasons), key=lambda why: (-reasons.count(why), why))
    return "; ".join(f"{reasons.count(why)} {why}" for why in order[:5])


def _summary(name: str, path: Path, added: Added, embedder: str) -> str:
    how = "found by words and by meaning" if embedder else "found by words alone, since the bundle embeds nothing"
    skipped = f", {len(added.skipped)} files skipped" if added.skipped else ""
    return (
        f"{name}: {added.documents} documents, {added.pieces} pieces, {added.chars / 1e6:.1f} MB of text{skipped};"
        f" {how}\n{path}: {path.stat().st_size / 1e6:.1f} MB"
    )


def show_list(options: argparse.Namespace) -> None:
    """Print the indexes that are there."""
    folder = _folder(options)
    for name in names([folder]):
        try:
            index = open_index(folder / f"{name}{SUFFIX}")
        except DocumentsError as error:
            print(f"{name:24}  {error}")
            continue
        index.close()
        about = (f"{index.about.get('documents', '?')} documents", f"{index.pieces} pieces", index.digest[:12])
        print(f"{name:24}  {'  '.join(about)}  {'words and meaning' if index.embedder else 'words alone'}")
    if not names([folder]):
        print(f"{folder} holds no index; `edge documents add FOLDER` makes one")


def search(options: argparse.Namespace) -> None:
    """Print what a question gets."""
    if not 0 < options.limit <= FOUND_MAX:
        raise UsageError(f"--limit: {options.limit} is not within 1 to {FOUND_MAX}")
    index = open_index(_path(options))
    try:
        found = index.search(options.question, _vectors(options, index), options.limit)
    finally:
        index.close()
    for place, each in enumerate(found):
        print(_shown(place + 1, each))
    if not found:
        print(f"{index.name} has nothing that fits; the model is told so, or says it itself")


def _vectors(options: argparse.Namespace, index: Index) -> Any:
    """Of the question, where the bundle embeds as the index was embedded."""
    embed, embedder = _embedder(_bundle(options)) if index.embedder else (None, "")
    if embed is None or embedder != index.embedder:
        if index.embedder:
            print("searching by words alone: the bundle does not embed as the index was embedded", file=sys.stderr)
        return None
    return embed([options.question])


def _shown(place: int, found: Found) -> str:
    piece = found.piece
    page = f", page {piece.page}" if piece.page else ""
    heading = f": {piece.heading}" if piece.heading else ""
    text = " ".join(piece.text.split())
    short = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
    return f"{place}. {piece.path}{page}  {piece.title}{heading}  (score {found.score:.4f})\n   {short}"


def remove(options: argparse.Namespace) -> None:
    """Delete an index."""
    folder = _folder(options)
    act_as_owner(folder)
    path = find_index(_fit(options.name), [folder])
    if path is None:
        raise DocumentsError(f"{folder}: has no index {options.name}; `edge documents list` shows them")
    path.unlink()
    print(f"{options.name} is removed")


def _path(options: argparse.Namespace) -> Path:
    """Of the index that is meant: in the folder, in the bundle, or where the name itself leads."""
    if os.sep in options.name:
        return Path(options.name)
    folders = [_folder(options), _bundle(options) / "documents"]
    path = find_index(options.name, folders)
    if path is None:
        raise DocumentsError(
            f"no index {options.name} in {' or '.join(map(str, folders))}; `edge documents list` shows them"
        )
    return path


def _folder(options: argparse.Namespace) -> Path:
    return Path(options.into) if options.into else load_settings().journal.folder / "documents"


def _bundle(options: argparse.Namespace) -> Path:
    return Path(options.bundle) if options.bundle else load_settings().engine.bundle


def _embedder(bundle: Path) -> Vectorised:
    return None, ""


ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "add": make,
    "list": show_list,
    "search": search,
    "remove": remove,
}
