"""Prompts that every bundle is asked before it leaves, and what it answered: its own engine, greedy.

They go into the bundle (`golden.json`), so that a board can ask again and see whether it says the same.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from edge.bundle import Golden as Question
from edge.engine import Job
from edge.errors import TooLarge
from export.errors import FidelityError, SourceError
from export.stopping import child_of_ours

FILE = "golden.json"
MAX_TOKENS = 24
SURE_NATS = 1.0
"""By how much the likeliest token must be ahead of the next one: other kernels on other processors differ by less."""
SURE_TOKENS_MIN = 2
"""With fewer, a question says too little of the bundle to be asked on a board."""
Answered = tuple[Job, str, dict[str, Any]]
"""A job, its text, and what the engine said at its end."""
QUESTIONS = TypeAdapter(Annotated[list[Question], Field(min_length=1, max_length=32)])
PLACE = re.compile(r"^\w+(Error|Exception)?: (.*Status Message: )?")
"""Where in the runtime an error is from, which a person who exports cannot look at."""


@dataclass(frozen=True)
class Golden:
    """A conversation and the bundle's answer to it, token for token as long as MAX_TOKENS allows."""

    messages: list[dict[str, str]]
    max_tokens: int
    answer: str
    completion_tokens: int
    sure: str = ""
    """What the answer begins with as surely elsewhere; empty where that is too little to tell."""


def questions(answers: Iterable[Golden]) -> list[Question]:
    """What a board is to ask: those whose answers begin alike on every processor."""
    return [
        Question(prompt=each.messages[-1]["content"], contains=each.sure, max_tokens=each.max_tokens)
        for each in answers
        if each.sure
    ]


def kept(folder: Path) -> list[Question]:
    """What a board is to ask of the bundle in a folder; none as long as nobody has asked it."""
    file = folder / FILE
    return questions(Golden(**each) for each in json.loads(file.read_text("utf-8"))) if file.is_file() else []


def beginning(tokens: Iterable[Mapping[str, Any]]) -> str:
    """The text of the first tokens, up to one that another might have been. tokens: as the OpenAI API's logprobs."""
    sure: list[str] = []
    for token in tokens:
        first, second = (each["logprob"] for each in token["top_logprobs"][:2])
        if first - second < SURE_NATS or not token["token"].isprintable():
            break
        sure.append(token["token"])
    return "".join(sure).strip() if len(sure) >= SURE_TOKENS_MIN else ""


def ask(bundle: Path, prompts: Sequence[str], context_length: int, tells: bool, adapter: str = "") -> list[Golden]:
    """The bundle's answers, from an engine in a child process; FidelityError where it cannot give them.

    tells: whether that engine says how sure it is of each token. adapter: the bundle's, empty for none.
    """
    length = max(1, min(MAX_TOKENS, context_length // 4))
    jobs = [
        Job(number, [{"role": "user", "content": prompt}], length, top_logprobs=2 if tells else None, adapter=adapter)
        for number, prompt in enumerate(prompts, start=1)
    ]
    return [
        Golden(job.messages, length, text, ended["completion_tokens"], beginning(ended["logprobs"] or ()))
        for job, text, ended in answers(bundle, jobs, {})
    ]


def ask_own(bundle: Path, file: Path, adapter: str = "") -> list[Golden]:
    """Somebody's own questions. FidelityError where the bundle, or it with an adapter, answers one otherwise."""
    own = read_questions(file)
    jobs = [
        Job(number, [{"role": "user", "content": each.prompt}], each.max_tokens, adapter=adapter)
        for number, each in enumerate(own, start=1)
    ]
    found = {job.id: (text, ended) for job, text, ended in answers(bundle, jobs, {})}
    made = []
    for job, question in zip(jobs, own, strict=True):
        text, ended = found.get(job.id, ("", {"completion_tokens": 0}))
        if not question.is_in(text):
            raise FidelityError(
                f"{file}: to {question.prompt!r} the bundle says {text!r}, without {question.contains!r}"
            )
        made.append(Golden(job.messages, job.max_tokens, text, ended["completion_tokens"], question.contains))
    return made


def read_questions(file: Path) -> list[Question]:
    """A JSON list of objects with prompt, contains and max_tokens; SourceError where it is none."""
    try:
        return QUESTIONS.validate_json(file.read_bytes())
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise SourceError(f"{file}: {place}: {first['msg']}") from error


def answers(bundle: Path, jobs: Iterable[Job], options: Mapping[str, Any]) -> list[Answered]:
    """Each job with its text and how it ended, but for those whose prompt fills the context; options: the engine's.

    Raises FidelityError where it cannot answer.
    """
    jobs = list(jobs)
    if not jobs:
        return []
    command = [sys.executable, "-m", "edge.engine", str(bundle), f"--options={json.dumps(options)}"]
    pipe = subprocess.PIPE
    with tempfile.TemporaryFile() as said, child_of_ours(command, stdin=pipe, stdout=pipe, stderr=said) as child:
        assert child.stdin
        assert child.stdout
        try:
            found = list(_answers(child.stdin, child.stdout, jobs))
        except (EOFError, BrokenPipeError) as error:
            child.wait()
            raise FidelityError(f"the engine ended while the new bundle was asked: {last_words(said)}") from error
        child.stdin.close()
        return found


def last_words(said: IO[bytes]) -> str:
    """What a process has said last on its standard error, as one line without the runtime's own wrapping."""
    said.seek(0)
    lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    return PLACE.sub("", lines[-1]).strip() if lines else "it said nothing"


def _answers(commands: IO[bytes], events: IO[bytes], jobs: Iterable[Job]) -> Iterator[Answered]:
    _expect(_next(events), "ready")
    for job in jobs:
        commands.write(json.dumps({"op": "generate", "job": asdict(job)}).encode() + b"\n")
        commands.flush()
        text = ""
        while (event := _next(events))["event"] == "progress":
            text += event["text"]
        if event["event"] == "fault" and event["code"] == TooLarge.code:
            continue
        _expect(event, "finished")
        yield job, text, event


def _next(events: IO[bytes]) -> dict[str, Any]:
    while line := events.readline():
        event: dict[str, Any] = json.loads(line)
        if event["event"] != "counters":
            return event
    raise EOFError


def _expect(event: dict[str, Any], kind: str) -> None:
    if event["event"] != kind:
        raise FidelityError(f"the engine cannot use the new bundle: {event.get('message', event)}")
