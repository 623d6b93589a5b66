"""onnxruntime-genai as an engine: one job at a time, on any execution provider it knows."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: the wheels phone home otherwise

import onnxruntime_genai as og

from edge.bundle import Bundle, read_manifest
from edge.engine import Event, Finished, Job, Options, budget
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.providers import Row, row_of
from edge.engine.text.guidance import Guide, Vocabulary, grammar
from edge.engine.text.late import LateDocuments
from edge.engine.text.late_sentences import LateSentences
from edge.engine.text.loops import LoopGuard
from edge.engine.text.prompt import prompt_of
from edge.engine.text.stop_text import StopText
from edge.errors import BundleError, ConfigError, EngineFailed, Fault, TooLarge, Unsupported, as_fault

if TYPE_CHECKING:
    from edge.engine.pictures.vision import Seen

PENALTIES = ("presence_penalty", "frequency_penalty")
BATCHED: dict[str, Any] = {
    "logit_bias": {},
    "stop_token_ids": [],
    "min_tokens": 0,
    "n": 1,
    "num_beams": 1,
    "scorers": [],
}
"""What onnxruntime-genai has not: ignored with a warning, and refused unless it is this, since that would be another
answer."""
PACED_SLICE_TOKENS = 32
"""Of a prompt at a time, where a step may not take long; genai does not tell what one will take."""

Decoded = Generator[str, None, tuple[int, str]]
Answer = Generator[str, None, Finished]
"""Pieces of text, an empty one where there is progress without any; at last how it ended."""


class GenaiEngine:
    """One model, one job at a time; others wait for it."""

    rows = 1

    def __init__(self, bundle: Path, options: Options, sentences: LateSentences | None = None) -> None:
        """sentences: the bundle's embedding model, where others use it, too."""
        if always := [name for name, each in options.scorers.items() if each["always"]]:
            raise ConfigError(f"scorers.{always[0]}.always needs the batched engine, and this is onnxruntime-genai's")
        self._manifest = read_manifest(bundle)
        self._slice = options.prefill_slice_tokens
        self.step_seconds: float | None = None
        self._tokenizer = Tokenizer(bundle, self._manifest)
        self._bundle = bundle
        limit, opened = self._manifest.context_length, Bundle(bundle, self._manifest)
        self._documents = LateDocuments(opened, options, self._tokenizer, limit, sentences)
        self._vocabulary: Vocabulary | None = None
        self._jobs: deque[tuple[Job, list[int] | None]] = deque()
        self._current: tuple[Job, Answer] | None = None
        self._cancelled: set[int] = set()
        row = row_of(options.provider)
        if row.module:
            _register(row)
        try:
            self._model = _loaded(bundle, row, options.threads)
        except Exception as error:  # genai raises plain RuntimeError for everything
            raise BundleError(f"onnxruntime-genai cannot load {bundle} on {row.name}: {error}") from error

    def submit(self, job: Job, tokens: list[int] | None = None) -> None:
        """Take a job, to be begun after those before it. tokens: its prompt, in place of its messages."""
        self._jobs.append((job, tokens))

    def cancel(self, job_id: int) -> None:
        """Have a job end before its next token or slice of prompt."""
        self._cancelled.add(job_id)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to work on."""
        return self._current is None and not self._jobs

    def counters(self) -> Mapping[str, int | float]:
        """Nothing that the service does not know itself."""
        return {}

    def ease(self) -> None:
        """Nothing is kept but what documents need."""
        self._documents.ease()

    def forget(self, salt: str) -> None:
        """Nothing is kept but in which order pieces of documents were read."""
        self._documents.forget(salt)

    def close(self) -> None:
        """Nothing is left to be written."""

    def step(self) -> Iterator[Event]:
        """A slice of the prompt, or a token of the answer."""
        if self._current is None:
            job, tokens = self._jobs.popleft()
            self._current = job, self._answer(job, tokens)
        job, answer = self._current
        try:
            yield Event(job.id, next(answer))
        except StopIteration as end:
            yield self._end(job, end.value)
        except Exception as error:  # one job's matter alone, whatever it is
            yield self._end(job, as_fault(error))

    def _end(self, job: Job, what: Finished | Fault) -> Event:
        self._current = None
        self._cancelled.discard(job.id)
        return Event(job.id, what)

    def _answer(self, job: Job, tokens: list[int] | None) -> Answer:
        """What documents have, then the model's answer; or what is said where they have nothing."""
        if job.adapter:
            raise Unsupported("onnxruntime-genai's engine runs no adapters here; engine.kind batched does", "model")
        if job.documents is None:
            return (yield from self._said(job, tokens))
        asked = self._documents.asked(job)
        if asked.said is not None:
            first, last = asked.events()
            assert isinstance(first.what, str) and isinstance(last.what, Finished)  # noqa: PT018
            yield first.what
            return last.what
        finished = yield from self._said(asked.job, tokens)
        return replace(finished, sources=asked.sources, warnings=[*asked.warnings, *finished.warnings])

    def _said(self, job: Job, tokens: list[int] | None) -> Answer:
        """Prompt to tokens, prefill in slices, decode a token at a time."""
        started = time.monotonic()
        tokens, pictures = prompt_of(job, tokens, self._tokenizer, self._manifest)
        room = self._room(tokens, job.max_tokens)
        guide = self._guide(job)
        generator = self._generator(job, len(tokens) + room)
        if pictures:
            generator.set_inputs(self._inputs(tokens, pictures))
            whole = True
        else:
            whole = yield from self._prefill(job, generator, tokens)
        prefilled = time.monotonic()
        count, reason = (yield from self._decode(job, generator, room, guide)) if whole else (0, "cancelled")
        times = prefilled - started, time.monotonic() - prefilled
        crops, idle = [each.tokens for each in pictures], [name for name in PENALTIES if getattr(job, name)]
        warnings = [f"{name} was ignored: onnxruntime-genai's engine has none" for name in idle]
        return Finished(reason, len(tokens), count, *times, picture_tokens=crops, warnings=warnings)

    def _inputs(self, tokens: list[int], pictures: list[Seen]) -> Any:
        """What the model reads where there are pictures, all at once: its tower is run within.

        Its own processor has one number of crops for all pictures, so that ours does the cutting.
        """
        assert self._manifest.pictures
        crops = [each.crops() for each in pictures]
        most, size = max(map(len, crops)), self._manifest.pictures.crop_size
        kind = np.dtype(row_of(self._manifest.provider).float_type)
        pixels = np.zeros((len(crops), most, 3, size, size), kind)
        for place, its in zip(pixels, crops, strict=True):
            place[: len(its)] = its
        inputs = og.NamedTensors()
        inputs["input_ids"] = np.array([[token if token >= 0 else -1 for token in tokens]], np.int32)
        inputs["pixel_values"] = pixels
        inputs["image_sizes"] = np.array([(each.rows * size, each.columns * size) for each in pictures], np.int64)
        inputs["num_image_tokens"] = np.array([each.tokens for each in pictures], np.int64)
        return inputs

    def _room(self, tokens: list[int], max_tokens: int) -> int:
        """How many tokens the answer may have; TooLarge where the context has none left."""
        limit = self._manifest.context_length
        if len(tokens) >= limit:
            raise TooLarge(f"the prompt has {len(tokens)} tokens, but the context holds {limit} with the answer")
        return min(max_tokens, limit - len(tokens))

    def _guide(self, job: Job) -> Guide | None:
        """The grammar once more: genai does not say why it follows one no further."""
        if job.guidance is None:
            return None
        if self._vocabulary is None:
            manifest = self._manifest
            self._vocabulary = Vocabulary(self._bundle, manifest.vocab_size, manifest.stop_token_ids)
        return self._vocabulary.guide(job.guidance, job.may_be_text)

    def _generator(self, job: Job, length: int) -> Any:
        if job.min_p not in (0, self._manifest.sampling.min_p) or job.top_logprobs is not None:
            raise Unsupported("min_p and logprobs need the batched engine, which this bundle does not run on")
        for name, harmless in BATCHED.items():
            if getattr(job, name) != harmless:
                raise Unsupported(f"{name} needs the batched engine, which this bundle does not run on", name)
        params = og.GeneratorParams(self._model)
        params.set_search_options(**_search_options(job), max_length=length)
        try:
            if job.guidance is not None:
                params.set_guidance("lark_grammar", grammar(job.guidance, job.may_be_text))
            return og.Generator(self._model, params)
        except Exception as error:
            raise EngineFailed(f"onnxruntime-genai refused the request: {error}") from error

    def _prefill(self, job: Job, generator: Any, tokens: list[int]) -> Generator[str, None, bool]:
        """Feed the prompt in slices; False where it was cancelled between two."""
        switch = self._manifest.rope_switch_length
        is_whole, start = 0 < switch < len(tokens), 0
        while start < len(tokens):
            if job.id in self._cancelled:
                return False
            size = len(tokens) if is_whole else self._slice_tokens()
            generator.append_tokens(tokens[start : start + size])
            start += size
            yield ""
        return True

    def _slice_tokens(self) -> int:
        return min(self._slice, PACED_SLICE_TOKENS) if self.step_seconds else self._slice

    def _decode(
        self, job: Job, generator: Any, room: int, guide: Guide | None
    ) -> Generator[str, None, tuple[int, str]]:
        """Generate until the model, a stop string, the length or a cancel ends it: tokens made and the reason."""
        stream, stop = self._tokenizer.stream(), StopText(job.stop)
        loop = LoopGuard(self._tokenizer.text, job.must_match) if job.loop_guard else None
        stops = set(self._manifest.stop_token_ids)
        count, is_complete = 0, False
        while not (is_complete or stop.stopped or generator.is_done()):
            if job.id in self._cancelled:
                return count, "cancelled"
            token = _next_token(generator)
            count += 1
            if token in stops:
                is_complete = True
                break
            yield stop.push(stream.decode(token))
            is_complete = guide is not None and guide.take(token)
            if loop and loop.take(token) and not (is_complete or stop.stopped):
                yield stop.flush()
                return count, "loop"
        yield stop.flush()
        if is_complete or stop.stopped or count < room:
            return count, "stop"
        return count, "length"


def _next_token(generator: Any) -> int:
    """Raises EngineFailed where a grammar cannot be followed further."""
    try:
        generator.generate_next_token()
    except RuntimeError as error:
        first = str(error).partition("\n")[0]
        raise EngineFailed(f"onnxruntime-genai went no further: {first}") from error
    return int(generator.get_next_tokens()[0])


@cache
def _register(row: Row) -> None:
    """Tell the runtime of a plugin, once a process; ConfigError where it is not there, BundleError if it cannot be."""
    library = row.library()
    try:
        og.register_execution_provider_library(row.runtime_name, library)
    except Exception as error:
        raise BundleError(f"onnxruntime-genai cannot load {row.distribution}: {error}") from error


def _loaded(bundle: Path, row: Row, threads: int) -> Any:
    """The model on a provider. Left to itself, genai takes one thread of two cores.

    A provider is taken only where it is appended: options that an overlay has for it alone leave the model on the CPU,
    and nobody is told.
    """
    config = og.Config(str(bundle))
    session_options = {"intra_op_num_threads": budget.threads(threads)}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": session_options}}}))
    if row.genai_name:
        config.clear_providers()
        config.append_provider(row.genai_name)
        for name, value in row.options:
            config.set_provider_option(row.genai_name, name, value)
    model = og.Model(config)
    if row.genai_name and model.device_type == "CPU":
        raise BundleError("it went to the CPU instead")
    return model


def _search_options(job: Job) -> dict[str, Any]:
    """GenAI's search options; a temperature of 0 is its greedy search."""
    options: dict[str, Any] = {"do_sample": job.temperature > 0, "repetition_penalty": job.repetition_penalty}
    if job.temperature > 0:
        options |= {"temperature": job.temperature, "top_p": job.top_p, "top_k": job.top_k}
        options |= {"random_seed": job.seed} if job.seed is not None else {}
    return options
