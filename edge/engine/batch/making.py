"""Jobs to rows: text to tokens, a schema to a grammar, a question of documents to what these have."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from edge.bundle import Bundle
from edge.engine import Event, Job, Options
from edge.engine.batch.beam_rows import Beams, Weigher
from edge.engine.batch.choices import Choices, alike, job_of
from edge.engine.batch.row import Row
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.guidance import Guide, Vocabulary
from edge.engine.text.late import LateDocuments
from edge.engine.text.late_sentences import LateSentences
from edge.engine.text.prompt import prompt_of
from edge.engine.text.sampling import Sampler, check_ids
from edge.engine.text.scorers import Scorers
from edge.errors import BadRequest, TooLarge

Made = Row | list[Event]
"""A row, or all that is said of a job which needs none."""


class Making:
    """What a bundle makes of jobs. budget: tokens that all texts together may have. size: of the graph's vocabulary.

    sentences: its embedding model, where others use it, too.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: Options,
        tokenizer: Tokenizer,
        budget: int,
        size: int,
        sentences: LateSentences | None = None,
    ) -> None:
        self._bundle, self._budget, self._size, self._rows = bundle, budget, size, options.rows
        self._tokenizer, self._manifest = tokenizer, bundle.manifest
        limit = min(bundle.manifest.context_length, budget)
        self._scorers = Scorers(options.scorers)
        self._scorers.try_all(size)
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
        room = self._room(job, len(tokens))
        check_ids(job, self._size)
        stops = (set() if job.ignore_eos else set(self._manifest.stop_token_ids)) | set(job.stop_token_ids)
        bare = replace(job, pictures=[])  # their bytes are needed no more, but for what is still to be looked at
        guides = [None] * job.num_beams if job.num_beams > 1 else [self._guide(job) for _ in range(job.n)]
        rows = [
            Row(job_of(bare, choice), list(tokens), room, self._tokenizer, self._size, stops, guide)
            for choice, guide in enumerate(guides)
        ]
        scorers = self._scorers.of(job)
        for row in rows:
            row.pictures, row.scorers = pictures, scorers
        if job.num_beams > 1:
            weigher = Weigher(Sampler(bare, tokens, self._size, stops), self._guide(job))
            Beams(rows, weigher, self._tokenizer, stops)
        elif job.n > 1:
            Choices(rows)
        return rows[0]

    def _room(self, job: Job, tokens: int) -> int:
        """Tokens that an answer to a prompt of so many may have; TooLarge where there is no room for one.

        Beams share what there is of the cache, and have no answers in which the rotary factors change.
        """
        if job.num_beams > self._rows:
            raise BadRequest(f"num_beams is {job.num_beams}, but this board has {self._rows} rows", "num_beams")
        limit, switch = (
            min(self._manifest.context_length, self._budget // job.num_beams),
            self._manifest.rope_switch_length,
        )
        if tokens >= limit:
            beams = f" for each of {job.num_beams} beams" if job.num_beams > 1 else ""
            raise TooLarge(f"the prompt has {tokens} tokens, but the context holds {limit} with the answer{beams}")
        if job.num_beams > 1 and tokens < switch:
            limit = min(limit, switch)
        return min(job.max_tokens, limit - tokens)

    def _guide(self, job: Job) -> Guide | None:
        if job.guidance is None:
            return None
        return self._vocabulary.guide(job.guidance, job.may_be_text)
