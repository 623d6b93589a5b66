"""What a question gets of the board's documents: found in their index, and put before the conversation.

Documents are data: whatever a piece says, it is text to the chat template (marks.py), and it begins and ends where its
index's boundary stands, which no text of that has.
"""

from __future__ import annotations

import itertools
import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.bundle import Bundle
from edge.documents import Piece, Vectors
from edge.documents.search import Index, find_index, open_index
from edge.engine import Event, Finished, Job, Options
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.composing import Orders, composed, delimited, end, intro
from edge.engine.text.late_sentences import LateSentences
from edge.engine.text.places import DOCUMENTS, names_in
from edge.engine.text.prompt import prompt_of
from edge.errors import BundleError, DocumentsError, EngineFailed, NotFound

if TYPE_CHECKING:
    from edge.engine.text.sentences import Sentences

log = logging.getLogger(__name__)

OPEN_MAX = 8
"""Indexes that are open at once."""
COUNTED_MAX = 4096
"""Pieces whose tokens are known without counting them again."""
SPARE = 8
"""Tokens that a text may have more than its parts."""
Stamp = tuple[str, int, int, int]
"""A file as it is now: path, inode, nanoseconds of its last change, bytes."""


@dataclass(frozen=True)
class Asked:
    """A job that is to be answered from documents. job: with what was found put before its conversation.

    said: the answer, where nothing was found and the model is not asked.
    """

    job: Job
    sources: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    said: str | None = None

    def events(self) -> list[Event]:
        """The answer that needs no model."""
        logprobs: list[dict[str, Any]] | None = None if self.job.top_logprobs is None else []
        done = Finished("stop", 0, 0, 0.0, 0.0, 0, logprobs, [], self.sources, self.warnings)
        return [Event(self.job.id, self.said or ""), Event(self.job.id, done)]


class Documents:
    """The indexes that a bundle's engine reads. One thread at a time.

    limit: tokens of prompt and answer together. sentences: the bundle's embedding model, where others use it, too.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: Options,
        tokenizer: Tokenizer,
        limit: int,
        sentences: LateSentences | None = None,
    ) -> None:
        self._bundle, self._options, self._tokenizer, self._limit = bundle, options, tokenizer, limit
        self._sentences = sentences or LateSentences(bundle)
        own = [Path(options.documents_folder)] if options.documents_folder else []
        self._folders = [*own, bundle.path / DOCUMENTS]
        self._open: OrderedDict[str, tuple[Stamp, Index]] = OrderedDict()
        self._is_broken = False
        self._orders = Orders()
        self._counted: OrderedDict[tuple[str, int], int] = OrderedDict()

    def asked(self, job: Job) -> Asked:
        """A job with what its question gets. NotFound where there are no such documents, EngineFailed where broken."""
        name = job.documents or ""
        index = self._index(name)
        try:
            vectors, warnings = self._vectors(index, job.questions)
            return self._with(job, index, self._found(index, job.questions, vectors), warnings)
        except (DocumentsError, ValueError) as error:
            self._close(name)
            raise self._broken(name, error) from error

    def forget(self, salt: str) -> None:
        """Who asks for what is forgotten."""
        self._orders.forget(salt)

    # --- indexes ---

    def _index(self, name: str) -> Index:
        """An index as it is now; one that was written anew is opened anew."""
        try:
            path = find_index(name, self._folders)
            stamp = None if path is None else _stamp(path)
        except OSError as error:
            raise self._broken(name, error) from error
        if path is None or stamp is None:
            self._close(name)
            raise NotFound(f"there are no documents {name[:64]!r} on this board; {self._there()}", "documents")
        if name not in self._open or self._open[name][0] != stamp:
            self._close(name)
            self._open[name] = stamp, self._opened(name, path)
        self._open.move_to_end(name)
        if len(self._open) > OPEN_MAX:
            self._close(next(iter(self._open)))
        return self._open[name][1]

    def _opened(self, name: str, path: Path) -> Index:
        try:
            return open_index(path)
        except DocumentsError as error:
            raise self._broken(name, error) from error

    def _broken(self, name: str, error: Exception) -> EngineFailed:
        log.error("documents %s cannot be read: %s", name, error)
        text = f"the documents {name} of this board cannot be read; `edge documents add` makes their index anew"
        return EngineFailed(text, "documents")

    def _there(self) -> str:
        known = names_in(self._folders)
        return f"there are: {', '.join(known)}" if known else "there are none"

    def _close(self, name: str) -> None:
        if name in self._open:
            self._open.pop(name)[1].close()

    # --- what fits ---

    def _found(self, index: Index, questions: list[str], vectors: Vectors | None) -> list[Piece]:
        """The best pieces of each question in turns, so that none is crowded out by what another one finds."""
        limit = self._options.documents_pieces
        each = [
            index.search(question, None if vectors is None else vectors[number : number + 1], limit)
            for number, question in enumerate(questions)
        ]
        in_turns = (found.piece for turn in itertools.zip_longest(*each) for found in turn if found is not None)
        return list({piece.number: piece for piece in in_turns}.values())[:limit]

    def _vectors(self, index: Index, questions: list[str]) -> tuple[Vectors | None, list[str]]:
        """The questions', where the bundle's model made the index's, too; else a warning where it has some."""
        if not index.embedder:
            return None, []
        sentences = self._embedder()
        if sentences is None or sentences.digest != index.embedder:
            return None, [f"documents {index.name} were searched by words alone: their embedding model is not here"]
        return sentences.embed(questions), []

    def _embedder(self) -> Sentences | None:
        if self._is_broken:
            return None
        try:
            return self._sentences.loaded()
        except BundleError as error:
            log.error("%s; documents are searched by words alone", error)
            self._is_broken = True
            return None

    def _with(self, job: Job, index: Index, found: list[Piece], warnings: list[str]) -> Asked:
        if not found:
            return self._without(job, [*warnings, f"nothing was found in documents {index.name}"])
        read, _ = prompt_of(job, None, self._tokenizer, self._bundle.manifest)
        room = self._limit - len(read) - job.max_tokens - SPARE
        tokens = self._fitting(index, found, min(room, self._options.documents_tokens))
        if not tokens:
            text = f"no piece of documents {index.name} has room beside the conversation and max_tokens"
            return Asked(job, [], [*warnings, text])
        by_number = {piece.number: piece for piece in found}
        pieces = [by_number[number] for number in self._orders.arranged(index.digest, job.cache_salt, tokens)]
        messages = composed(job.messages, pieces, index.boundary)
        return Asked(replace(job, messages=messages), [source_of(piece) for piece in pieces], warnings)

    def _without(self, job: Job, warnings: list[str]) -> Asked:
        """What is done where nothing was found; what must match a schema, or may call a function, is the model's."""
        if self._options.documents_when_nothing == "say" and job.guidance is None:
            return Asked(job, [], warnings[:-1], self._options.documents_nothing_text)
        return Asked(job, [], warnings)

    def _fitting(self, index: Index, found: Iterable[Piece], room: int) -> dict[int, int]:
        """The best that fit together, and the tokens of each."""
        left = room - self._count(intro(index.boundary)) - self._count(end(index.boundary))
        chosen: dict[int, int] = {}
        for piece in found:
            size = self._tokens(index, piece)
            if size <= left:
                chosen[piece.number] = size
                left -= size
        return chosen

    def _tokens(self, index: Index, piece: Piece) -> int:
        key = (index.digest, piece.number)
        if key not in self._counted:
            self._counted[key] = self._count(delimited(piece, index.boundary))
        self._counted.move_to_end(key)
        if len(self._counted) > COUNTED_MAX:
            self._counted.popitem(last=False)
        return self._counted[key]

    def _count(self, text: str) -> int:
        return self._tokenizer.count(text)


def source_of(piece: Piece) -> dict[str, Any]:
    """A piece as its asker is told of it."""
    return {
        "path": piece.path,
        "title": piece.title,
        "heading": piece.heading,
        "page": piece.page,
        "text": piece.text,
    }


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return str(path), status.st_ino, status.st_mtime_ns, status.st_size
