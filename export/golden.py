"""Prompts that every bundle is asked before it leaves, and what it answered: its own engine, greedy.

They go into the bundle (`golden.json`), so that a board can ask again and see whether it says the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from edge.engine import Job
from export.errors import FidelityError

MAX_TOKENS = 24


@dataclass(frozen=True)
class Golden:
    """A conversation and the bundle's answer to it, token for token as long as MAX_TOKENS allows."""

    messages: list[dict[str, str]]
    max_tokens: int
    answer: str
    completion_tokens: int


def ask(bundle: Path, prompts: Sequence[str], context_length: int) -> list[Golden]:
    """The bundle's answers, from an engine in a child process; FidelityError where it cannot give them."""
    length = min(MAX_TOKENS, context_length // 4)
    jobs = [
        Job(number, [{"role": "user", "content": prompt}], length) for number, prompt in enumerate(prompts, start=1)
    ]
    return [Golden(job.messages, length, text, tokens) for job, text, tokens in answers(bundle, jobs, {})]


def answers(bundle: Path, jobs: Iterable[Job], options: Mapping[str, Any]) -> list[tuple[Job, str, int]]:
    """Each job with its text and tokens; options: the engine's own. FidelityError where it cannot answer."""
    jobs = list(jobs)
    if not jobs:
        return []
    command = [sys.executable, "-m", "edge.engine", str(bundle), f"--options={json.dumps(options)}"]
    pipe = subprocess.PIPE  # and a session of its own, so that Ctrl-C reaches this process alone
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as child:
        assert child.stdin
        assert child.stdout
        try:
            found = list(_answers(child.stdin, child.stdout, jobs))
        except BaseException:
            child.kill()
            raise
        child.stdin.close()
        return found


def _answers(commands: IO[bytes], events: IO[bytes], jobs: Iterable[Job]) -> Iterator[tuple[Job, str, int]]:
    _expect(_next(events), "ready")
    for job in jobs:
        commands.write(json.dumps({"op": "generate", "job": asdict(job)}).encode() + b"\n")
        commands.flush()
        text = ""
        while (event := _next(events))["event"] == "progress":
            text += event["text"]
        _expect(event, "finished")
        yield job, text, event["completion_tokens"]


def _next(events: IO[bytes]) -> dict[str, Any]:
    while line := events.readline():
        event: dict[str, Any] = json.loads(line)
        if event["event"] != "counters":
            return event
    raise FidelityError("the engine ended while the new bundle was asked; its own words are above")


def _expect(event: dict[str, Any], kind: str) -> None:
    if event["event"] != kind:
        raise FidelityError(f"the engine cannot use the new bundle: {event.get('message', event)}")
