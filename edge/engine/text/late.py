"""Documents for an engine that may never be asked for any: what they need is loaded for the first job that does."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from edge.bundle import Bundle
from edge.engine import Job, Options
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.late_sentences import LateSentences

if TYPE_CHECKING:
    from edge.engine.text.documents import Asked, Documents


class LateDocuments:
    """As `Documents`, which it makes. limit: tokens of prompt and answer together."""

    def __init__(
        self,
        bundle: Bundle,
        options: Options,
        tokenizer: Tokenizer,
        limit: int,
        sentences: LateSentences | None = None,
    ) -> None:
        """sentences: the bundle's embedding model, where others use it, too."""
        self.sentences = sentences or LateSentences(bundle)
        self._given = bundle, options, tokenizer, limit, self.sentences

    @cached_property
    def _documents(self) -> Documents:
        from edge.engine.text.documents import Documents

        return Documents(*self._given)

    def asked(self, job: Job) -> Asked:
        """A job with what its question gets; raises what `Documents.asked` does."""
        return self._documents.asked(job)

    def ease(self) -> None:
        """Let the embedding model go, which the next question loads again."""
        self.sentences.ease()

    def forget(self, salt: str) -> None:
        """Let go of what documents remember of a salt's jobs."""
        if "_documents" in self.__dict__:
            self._documents.forget(salt)
