"""Jobs to rows: text to tokens, a schema to a grammar, a question of documents to what these have."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from edge.bundle import Bundle
from edge.engine import Event, Job, Options
from edge.engine.batch.choices import Choices, alike, job_of
from edge.engine.batch.row import Row
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.guidance import Guide, Vocabulary
from edge.engine.text.late import LateDocuments
from edge.engine.text.late_sentences import LateSentences
from edge.engine.text.prompt import prompt_of
from edge.engine.text.sampling import check_ids
from edge.errors import TooLarge

Made = Row | list[Event]
"""A row, or all that is said of a job which needs none."""


class Making:
    """What a bundle makes of jobs. limit: tokens of a prompt and its answer. size: of the graph's vocabulary.

    sentences: its embedding model, where others use it, too.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: Options,
        tokenizer: Tokenizer,
        limit: int,
        size: int,
        sentences: LateSentences | None = None,
    ) -> None:
        self._bundle, self._limit, self._size = bundle, limit, size
        self._tokenizer, self._manifest = tokenizer, bundle.manifest
        self.documents = LateDocuments(bundle, options, tokenizer, limit, sentences)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self._bundle.path, self._size, self._manifest.stop_token_ids)

    def made(self, job: Job, given: list[int] | None) -> Made:
        """A job with its prompt's tokens; TooLarge where there is no room for an answer."""
        if job.documents is None:
            return self._row(job, given)
        asked = self.documents.asked(job)
        if asked.said is not None:
            return alike(asked.events(), job.n) if job.n > 1 else asked.events()
        row = self._row(asked.job, given)
        row.sources, row.warnings = asked.sources, asked.warnings
        return row

    def _row(self, job: Job, given: list[int] | None) -> Row:
        tokens, pictures = prompt_of(job, given, self._tokenizer, self._manifest)
        limit = self._limit
        if len(tokens) >= limit:
            raise TooLarge(f"the prompt has {len(tokens)} tokens, but the context holds {limit} with the answer")
        room = min(job.max_tokens, limit - len(tokens))
        check_ids(job, self._size)
        stops = (set() if job.ignore_eos else set(self._manifest.stop_token_ids)) | set(job.stop_token_ids)
        bare = replace(job, pictures=[])  # their bytes are needed no more, but for what is still to be looked at
        rows = [
            Row(job_of(bare, choice), list(tokens), room, self._tokenizer, self._size, stops, self._guide(job))
            for choice in range(job.n)
        ]
        for row in rows:
            row.pictures = pictures
        if job.n > 1:
            Choices(rows)
        return rows[0]

    def _guide(self, job: Job) -> Guide | None:
        if job.guidance is None:
            return None
        return self._vocabulary.guide(job.guidance, job.may_be_text)
