"""`edge documents`: indexes of folders that answers come from: made, listed, tried, removed."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edge.commands.streams import progress
from edge.config import load_settings
from edge.documents import Found, Vectors
from edge.documents.adding import Added, add
from edge.documents.folder import OTHER_KIND
from edge.documents.schema import SUFFIX
from edge.documents.search import NAME, Index, find_index, names, open_index
from edge.errors import DocumentsError, UsageError
from edge.store.store import act_as_owner

if TYPE_CHECKING:
    from edge.engine.text.sentences import Sentences

FOUND_MAX = 100
ENDINGS_SHOWN = 12
"""Of files that are of another kind; there may be thousands of pictures."""
SHOWN_CHARS = 240
"""Of a piece, where it is one of several."""
HELP = "text, Markdown, HTML and PDF below a folder become an index that answers are found in (docs/documents.md)"


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


_INTO = "where the indexes lie (default: documents.folder, where the daemon looks)"


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
    model = _embedder(options, threads=0)
    embed, embedder = (model.embed, model.digest) if model else (None, "")
    try:
        added = add(source, path, embed, embedder, _show)
    finally:
        progress("")
    _tell_skipped(added)
    print(_summary(name, path, added, has_meaning=model is not None))


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
    for file in added.skipped:
        if file.why != OTHER_KIND:
            print(f"{file.path}: skipped: {file.why}", file=sys.stderr)
    if others := Counter(
        PurePosixPath(file.path).suffix or "without an ending" for file in added.skipped if file.why == OTHER_KIND
    ):
        shown = ", ".join(f"{count} {ending}" for ending, count in others.most_common(ENDINGS_SHOWN))
        print(f"skipped: {shown}, by their names neither text, Markdown, HTML nor PDF", file=sys.stderr)


def _summary(name: str, path: Path, added: Added, has_meaning: bool) -> str:
    how = "by words and by meaning" if has_meaning else "by words alone, since the bundle has no embedding model"
    skipped = f", {len(added.skipped)} files skipped" if added.skipped else ""
    return (
        f"{name}: {added.documents} documents, {added.pieces} pieces, {added.chars / 1e6:.1f} MB of text{skipped};"
        f" found {how}\n{path}: {path.stat().st_size / 1e6:.1f} MB"
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
        print(f"{index.name} has nothing that fits")


def _vectors(options: argparse.Namespace, index: Index) -> Vectors | None:
    """Of the question, where the bundle embeds as the index was embedded."""
    if not index.embedder:
        return None
    model = _embedder(options, threads=1)
    if model is None or model.digest != index.embedder:
        print("by words alone: the bundle has not the embedding model that the index was made with", file=sys.stderr)
        return None
    return model.embed([options.question])


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
    return Path(options.into) if options.into else load_settings().documents.folder


def _bundle(options: argparse.Namespace) -> Path:
    return Path(options.bundle) if options.bundle else load_settings().engine.bundle


def _embedder(options: argparse.Namespace, threads: int) -> Sentences | None:
    """The bundle's embedding model, where it has one; without --bundle there need not be a bundle at all."""
    from edge.engine.text.sentences import Sentences

    bundle = _bundle(options)
    if not options.bundle and not bundle.is_dir():
        return None
    return Sentences.of(bundle, threads)


ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "add": make,
    "list": show_list,
    "search": search,
    "remove": remove,
}
