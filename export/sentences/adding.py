"""A finished bundle with an embedding model, with indexes of documents, or with both: the rest of it stays as it is."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from edge.bundle import (
    DOCUMENTS,
    MANIFEST,
    SENTENCE_GRAPH,
    SENTENCE_TOKENIZER,
    SIGNATURE,
    Bundle,
    File,
    Manifest,
    hash_file,
    open_bundle,
    read_manifest,
)
from edge.errors import BundleError
from export.adapters.adding import files_of, write_adapters
from export.adapters.asking import with_questions
from export.errors import SourceError, TargetError
from export.naming import name_of
from export.sentences.config import read_encoder
from export.sentences.make import make
from export.sentences.tokens import read_tokenizer
from export.sentences.weights import Weights
from export.target import check_free
from export.workshop import BUNDLE, put, staging

INDEX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.index")
SQLITE = b"SQLite format 3\0"
PACKED, TEXTS_BYTES = 2, 40 << 20
"""What an embedding model takes of memory: its graph twice, since the runtime packs matrices anew, and texts that are
being read (measured: 63 MiB and 29 MiB for 27 MiB of graph; libraries are there already)."""


@dataclass(frozen=True)
class Additions:
    """What a bundle gets. sentences: a folder of sentence-transformers. documents: files NAME.index.

    version: the bundle's from now on; empty for what it has. adapters: PEFT's folders, each under its own name.
    """

    sentences: Path | None = None
    documents: tuple[Path, ...] = ()
    version: str = ""
    adapters: tuple[Path, ...] = ()

    @property
    def files(self) -> list[Path]:
        """What is read."""
        return [*([self.sentences] if self.sentences else []), *self.documents, *self.adapters]

    def check(self) -> None:
        """Everything is what it should be, told before anything is made. Raises SourceError or UnsupportedError."""
        if self.sentences:
            encoder = read_encoder(self.sentences)
            read_tokenizer(self.sentences, encoder)
            Weights(self.sentences, encoder)
        names = [check_index(file) for file in self.documents]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise SourceError(f"two files of --documents are called {twice}; a bundle has one of a name")
        names = [name_of(folder) for folder in self.adapters]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise SourceError(f"two folders of --adapter are called {twice}; a bundle has one adapter of a name")


def check_index(file: Path) -> str:
    """The name of an index's file. Raises SourceError where it is none, or where somebody may be writing it."""
    if not INDEX.fullmatch(file.name):
        raise SourceError(f"{file} should be called NAME.index, of letters, digits and . _ -")
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(SQLITE))
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}") from error
    if begins != SQLITE:
        raise SourceError(f"{file} is no index of documents; `edge documents add` makes one")
    beside = [file.with_name(file.name + end) for end in ("-wal", "-journal")]
    if busy := next((each for each in beside if each.exists() and each.stat().st_size), None):
        raise SourceError(f"{busy} is there: {file.name} is being written, or was left half written; close it first")
    return file.name


def added(folder: Path, additions: Additions) -> None:
    """Put additions into a bundle's folder that nobody reads yet, and rewrite its manifest.

    An index of a name that the bundle has already is replaced, and so is its embedding model.
    """
    manifest = read_manifest(folder)
    changes: dict[str, Any] = {"version": additions.version or manifest.version}
    names = [f"{DOCUMENTS}/{file.name}" for file in additions.documents]
    if additions.adapters:
        changes |= write_adapters(folder, manifest, {name_of(each): each for each in additions.adapters})
        names += files_of(changes)
    if additions.sentences:
        changes["sentences"] = make(additions.sentences, folder)
        floor = changes.get("memory_floor_bytes", manifest.memory_floor_bytes)
        changes["memory_floor_bytes"] = floor - taken(manifest) + taken_by(folder)
        names += [SENTENCE_GRAPH, SENTENCE_TOKENIZER]
    for file in additions.documents:
        (folder / DOCUMENTS).mkdir(exist_ok=True)
        shutil.copyfile(file, folder / DOCUMENTS / file.name)
    kept = {name: file for name, file in manifest.files.items() if (folder / name).exists()}
    files = {**kept, **{name: entry(folder / name) for name in names}}
    changes["files"] = dict(sorted(files.items()))
    made = manifest.model_copy(update=changes)
    (folder / MANIFEST).write_text(made.text(), encoding="utf-8")
    if additions.adapters:
        asked = with_questions(folder, made, {name_of(each): each for each in additions.adapters})
        (folder / MANIFEST).write_text(made.model_copy(update={"adapters": asked}).text(), encoding="utf-8")


def entry(path: Path) -> File:
    """A file as a manifest has it."""
    return File(sha256=hash_file(path), size_bytes=path.stat().st_size)


def taken_by(folder: Path) -> int:
    """Memory that the embedding model of a bundle's folder takes, texts that it reads among it."""
    return PACKED * (folder / SENTENCE_GRAPH).stat().st_size + TEXTS_BYTES


def taken(manifest: Manifest) -> int:
    """What a manifest's memory_floor_bytes has for an embedding model."""
    return 0 if manifest.sentences is None else PACKED * manifest.files[SENTENCE_GRAPH].size_bytes + TEXTS_BYTES


def enlarge(bundle: Path, additions: Additions, output: Path | None = None, force: bool = False) -> Bundle:
    """A finished bundle with additions, in its own place by one exchange of names, or elsewhere beside it.

    Raises ExportError, after which everything is as it was.
    """
    manifest = opened(bundle).manifest
    additions.check()
    target, used = output or bundle, additions.files
    if target == bundle and (bundle / SIGNATURE).exists():
        raise TargetError(f"{bundle} is signed, and what is added would not be; -o DIR makes another to be signed")
    check_free(target, force or target == bundle, [*used, bundle] if output else used)
    with staging(target) as workshop:
        made = workshop / BUNDLE
        for name in (*manifest.files, MANIFEST):
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle / name, made / name)
        added(made, additions)
        manifest = opened(made).manifest
        put(made, target, replaces=True)
    return Bundle(target, manifest)


def documents(bundle: Bundle) -> list[str]:
    """The names of the indexes that a bundle brings."""
    places = [PurePosixPath(name) for name in bundle.manifest.files]
    return [place.stem for place in places if str(place.parent) == DOCUMENTS]


def opened(bundle: Path) -> Bundle:
    """A bundle, every file of it as its manifest says; SourceError where one is not."""
    try:
        return open_bundle(bundle, read_manifest(bundle).provider)
    except BundleError as error:
        raise SourceError(str(error)) from error
