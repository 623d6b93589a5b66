"""Texts to vectors whose products say how alike they are: an embedding model that a bundle brings.

It runs beside the decoder and has threads of its own, one unless it is asked for more: a question's few tokens gain
nothing by a second one, and threads that wait do not spin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.bundle import SENTENCE_GRAPH, SENTENCE_TOKENIZER, SentenceModel, read_manifest
from edge.documents import Vectors
from edge.engine.graph.session import Encoder
from edge.engine.text.exact import Read, SentenceReader
from edge.errors import BundleError

BATCH_TOKENS = 1024
"""Of all texts that are read at once, with what fills the shorter ones: 30 MB of memory, and more are no faster."""
TEXTS_AT_ONCE = 512
"""Sorted by length together, so that texts of one length are read together."""
CHARACTERS_PER_TOKEN = 64
"""A text longer than so many for each token it may have is cut before its tokens are sought."""


@dataclass
class Embedded:
    """Vectors `[texts, dimensions]`, each of length 1, as far as they are made.

    done, tokens: how many are, and what was read of their texts. cut: the places of those whose beginning alone was.
    """

    vectors: Vectors
    done: int = 0
    tokens: int = 0
    cut: list[int] = field(default_factory=list)


class Sentences:
    """A bundle's embedding model in memory, for any thread.

    digest: names what it was made of; vectors of two are not to be compared.

    threads: 0 for every core. Raises BundleError where it cannot be loaded, or `tokenizers` is not installed.
    """

    def __init__(self, bundle: Path, model: SentenceModel, threads: int = 1) -> None:
        self.name, self.digest = model.name, model.source
        self.dimensions, self.tokens_max = model.dimensions, model.tokens_max
        self._characters = model.tokens_max * CHARACTERS_PER_TOKEN
        try:
            told = (bundle / SENTENCE_TOKENIZER).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(
                f"{bundle / SENTENCE_TOKENIZER} cannot be read: {error}; copy the bundle again"
            ) from error
        self._reader = SentenceReader(told, model.tokens_max)
        self._encoder = Encoder(bundle / SENTENCE_GRAPH, threads)

    @classmethod
    def of(cls, bundle: Path, threads: int = 1) -> Sentences | None:
        """Of the bundle at a path; None where it brings none. Raises BundleError, also where it is no bundle."""
        model = read_manifest(bundle).sentences
        return None if model is None else cls(bundle, model, threads)

    def embed(self, texts: list[str]) -> Vectors:
        """The vectors of some texts, `[texts, dimensions]`, each of length 1; of a long text its beginning's."""
        made = self.nothing(texts)
        for _ in self.steps(texts, made):
            pass
        return made.vectors

    def nothing(self, texts: list[str]) -> Embedded:
        """Room for the vectors of some texts."""
        return Embedded(np.empty((len(texts), self.dimensions), np.float32))

    def steps(self, texts: list[str], into: Embedded) -> Iterator[None]:
        """Make the vectors of some texts, a batch a step; of a long text its beginning's."""
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            some = [self._cut(text) for text in texts[start : start + TEXTS_AT_ONCE]]
            read = self._reader.read(some)
            for batch in batches([len(each.ids) for each in read]):
                places = [start + place for place in batch]
                into.vectors[places] = self._run([read[place].ids for place in batch])
                into.done += len(batch)
                into.tokens += sum(len(read[place].ids) for place in batch)
                into.cut += [
                    at for at, place in zip(places, batch, strict=True) if self._is_cut(texts[at], read[place])
                ]
                yield

    def _is_cut(self, text: str, read: Read) -> bool:
        return read.is_cut or len(text) > self._characters

    def _cut(self, text: str) -> str:
        """As much of a text as can count; half a surrogate pair becomes a question mark."""
        return text[: self._characters].encode("utf-8", "replace").decode("utf-8")

    def _run(self, read: list[list[int]]) -> Vectors:
        ids = np.zeros((len(read), max(len(each) for each in read)), np.int64)
        mask = np.zeros_like(ids)
        for row, each in enumerate(read):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1
        return self._encoder.run(ids, mask)


def batches(lengths: list[int]) -> Iterator[list[int]]:
    """The places of some texts in turns of no more than BATCH_TOKENS, those of like lengths together."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > BATCH_TOKENS:  # each is as long as the last of them
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
