"""onnxruntime-genai as an engine. The only file that imports it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: the wheels phone home otherwise

import onnxruntime_genai as og

from edge.bundle import read_manifest
from edge.chat import render
from edge.engine import Cancelled, Emit, Finished, Job
from edge.engine.stop_text import StopText
from edge.errors import BadRequest, BundleError, EngineFailed, TooLarge

SESSION_OPTIONS: dict[str, dict[str, Any]] = {
    "cpu": {},
    "cuda": {"provider_options": [{"cuda": {}}]},
}
"""What genai_config.json is overlaid with, an execution provider a row."""


COMPACT = {"x-guidance": {"whitespace_flexible": False}}
"""llguidance's own keyword: no spaces and line breaks between tokens, which small models lose themselves in."""
TEXT_OR = "start: answer | TEXT\nTEXT: /([^{](.|\\n)*)?/\nanswer: "
"""A grammar whose answers are text, unless they begin like JSON: then what is put behind this."""


class GenaiEngine:
    """One model, one job at a time."""

    def __init__(self, bundle: Path, provider: str, threads: int, prefill_slice_tokens: int) -> None:
        self._manifest = read_manifest(bundle)
        self._slice = prefill_slice_tokens
        self._special = _special_tokens(bundle)
        try:
            config = og.Config(str(bundle))
            config.overlay(json.dumps({"model": {"decoder": {"session_options": _options(provider, threads)}}}))
            self._model = og.Model(config)
            self._tokenizer = og.Tokenizer(self._model)
        except Exception as error:  # genai raises plain RuntimeError for everything
            raise BundleError(f"onnxruntime-genai cannot load {bundle}: {error}") from error

    def generate(self, job: Job, emit: Emit, cancelled: Cancelled) -> Finished:
        """Answer a job: prompt to tokens, prefill in slices, decode a token at a time."""
        tokens = self.encode(job)
        room = self._room(tokens, job.max_tokens)
        started = time.monotonic()
        generator = self._generator(job, len(tokens) + room)
        whole = self._prefill(generator, tokens, emit, cancelled)
        prefilled = time.monotonic()
        count, reason = (
            self._decode(generator, room, StopText(job.stop), emit, cancelled) if whole else (0, "cancelled")
        )
        return Finished(reason, len(tokens), count, prefilled - started, time.monotonic() - prefilled)

    def encode(self, job: Job) -> list[int]:
        """The prompt's token ids."""
        text = render(self._manifest.chat_template, job.messages, self._special)
        return list(map(int, self._tokenizer.encode(text)))

    def _room(self, tokens: list[int], max_tokens: int) -> int:
        """How many tokens the answer may have; TooLarge where the context has none left."""
        limit = self._manifest.context_length
        if len(tokens) >= limit:
            raise TooLarge(f"the prompt has {len(tokens)} tokens, but the context holds {limit} with the answer")
        return min(max_tokens, limit - len(tokens))

    def _generator(self, job: Job, length: int) -> Any:
        params = og.GeneratorParams(self._model)
        params.set_search_options(**_search_options(job), max_length=length)
        try:
            if job.guidance is not None:
                params.set_guidance("lark_grammar", grammar(job.guidance, job.may_be_text))
            return og.Generator(self._model, params)
        except Exception as error:
            if job.guidance is not None:
                raise BadRequest(f"the JSON schema cannot be followed: {error}", "response_format") from error
            raise EngineFailed(f"onnxruntime-genai refused the request: {error}") from error

    def _prefill(self, generator: Any, tokens: list[int], emit: Emit, cancelled: Cancelled) -> bool:
        """Feed the prompt in slices; False where it was cancelled between two."""
        switch = self._manifest.rope_switch_length
        size = len(tokens) if 0 < switch < len(tokens) else self._slice
        for start in range(0, len(tokens), size):
            if cancelled():
                return False
            generator.append_tokens(tokens[start : start + size])
            emit("")
        return True

    def _decode(self, generator: Any, room: int, stop: StopText, emit: Emit, cancelled: Cancelled) -> tuple[int, str]:
        """Generate until the model, a stop string, the length or a cancel ends it: tokens made and the reason."""
        stream = self._tokenizer.create_stream()
        stops = set(self._manifest.stop_token_ids)
        count = 0
        while not generator.is_done() and not stop.stopped:
            if cancelled():
                return count, "cancelled"
            generator.generate_next_token()
            token = int(generator.get_next_tokens()[0])
            count += 1
            if token in stops:
                break
            emit(stop.push(stream.decode(token)))
        emit(stop.flush())
        ended = stop.stopped or (count and token in stops)
        return count, "length" if count >= room and not ended else "stop"


def grammar(schema: dict[str, Any], may_be_text: bool) -> str:
    """The answers that may be, in llguidance's dialect of Lark: JSON of a schema, or any text not begun with `{`."""
    json_of_schema = f"%json {json.dumps({**schema, **COMPACT})}"
    return f"{TEXT_OR}{json_of_schema}" if may_be_text else f"start: {json_of_schema}"


def _options(provider: str, threads: int) -> dict[str, Any]:
    options: dict[str, Any] = dict(SESSION_OPTIONS[provider])
    return options | ({"intra_op_num_threads": threads} if threads else {})


def _search_options(job: Job) -> dict[str, Any]:
    """GenAI's search options; a temperature of 0 is its greedy search."""
    options: dict[str, Any] = {"do_sample": job.temperature > 0, "repetition_penalty": job.repetition_penalty}
    if job.temperature > 0:
        options |= {"temperature": job.temperature, "top_p": job.top_p, "top_k": job.top_k}
        options |= {"random_seed": job.seed} if job.seed is not None else {}
    return options


def _special_tokens(bundle: Path) -> dict[str, str]:
    """bos_token and eos_token as the tokenizer's config spells them, for templates that write them out."""
    path = bundle / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = {}
    for name in ("bos_token", "eos_token"):
        value = config.get(name)
        found[name] = value.get("content", "") if isinstance(value, dict) else value or ""
    return found
