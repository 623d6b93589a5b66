"""A new bundle's engine asked what its manifest says that it must answer, and held to the old one's speed.

Greedy, one question after the other, while nobody else is answered. Source of the questions: `edge.bundle.Golden`,
which the export writes.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from edge.bundle import Adapter, Golden
from edge.engine import Finished, Job
from edge.errors import EngineFailed, Fault
from edge.service.clock import now
from edge.service.protocols import Engine

HELLO = "Hello! Who are you?"
"""What a bundle is asked that brings no question of its own; any answer will do."""
HELLO_TOKENS = 16
SPEED_ROUNDS, SPEED_TOKENS = 3, 32
"""Answers of each engine that are timed, one after the other by turns, and how long they are."""
SPEED_SECONDS = 30.0
"""After which no further round is begun: a large model on a small board has said enough by then."""
SALT = "trial"
"""Nobody finds the beginnings that these questions leave behind."""
SHOWN = 80
"""Characters of an answer that are told."""
_numbers = itertools.count(-1, -1)
"""Of jobs, apart from the journal's."""


class TrialFailed(Exception):
    """The bundle is not to be kept; the text says why."""


@dataclass(frozen=True)
class Speeds:
    """Tokens a second, medians; None where an engine gave no answer of more than one token."""

    new: float | None
    old: float | None


async def check_answers(engine: Engine, golden: Sequence[Golden], adapters: Sequence[Adapter] = ()) -> None:
    """Every question has an answer with what it must contain, by each adapter too. TrialFailed where one has not."""
    for adapter, question in chain(((None, each) for each in golden), *(_of_adapter(each) for each in adapters)):
        text = await _answered(engine, question.prompt, question.max_tokens, adapter.name if adapter else "")
        if not question.is_in(text):
            said = f"{text[:SHOWN]!r} to {question.prompt[:SHOWN]!r}{f' with {adapter.name}' if adapter else ''}"
            raise TrialFailed(f"it answered {said}, without {question.contains[:SHOWN]!r}")
    if not golden and not (await _answered(engine, HELLO, HELLO_TOKENS)).strip():
        raise TrialFailed(f"it had no answer to {HELLO!r}")


def _of_adapter(adapter: Adapter) -> Iterator[tuple[Adapter | None, Golden]]:
    return ((adapter, each) for each in adapter.golden)


def check_speed(speeds: Speeds, floor: float) -> None:
    """TrialFailed below that share of the old one's speed; nothing where one of the two is not known."""
    if speeds.new is not None and speeds.old is not None and speeds.new < floor * speeds.old:
        told = (
            f"{speeds.new:.1f} tokens a second are {speeds.new / speeds.old:.0%} of the old bundle's {speeds.old:.1f}"
        )
        raise TrialFailed(f"{told}; store.speed_floor wants {floor:.0%}")


async def compared(new: Engine, old: Engine) -> Speeds:
    """Both timed by turns, so that whatever else the board does meets both."""
    rates: tuple[list[float], list[float]] = ([], [])
    began = now()
    for _ in range(SPEED_ROUNDS):
        rates[0].extend(await timed(new))
        with contextlib.suppress(TrialFailed):  # which is not the new one's fault
            rates[1].extend(await timed(old))
        if now() - began > SPEED_SECONDS:
            break
    return Speeds(_median(rates[0]), _median(rates[1]))


async def speed(engine: Engine) -> float | None:
    """Of one alone, where there is no room for both."""
    rates: list[float] = []
    began = now()
    while len(rates) < SPEED_ROUNDS and now() - began <= SPEED_SECONDS:
        if not (found := await timed(engine)):
            break
        rates += found
    return _median(rates)


async def speed_of_old(engine: Engine) -> float | None:
    """The same of the one that is in use, whose faults are not the new one's."""
    with contextlib.suppress(TrialFailed):
        return await speed(engine)
    return None


async def timed(engine: Engine) -> list[float]:
    """Tokens a second of one answer, in a list; an empty one where it is too short to tell.

    At random, from the same seed, and past its end: a greedy answer that goes on repeats itself, which is guessed
    rightly, so that a model that repeats itself more would seem to be the faster one.
    """
    _, finished = await _ask(engine, HELLO, SPEED_TOKENS, temperature=1.0, seed=0, ignore_eos=True)
    tokens, seconds = finished.completion_tokens, finished.decode_seconds
    return [tokens / seconds] if tokens > 1 and seconds > 0 else []


async def _answered(engine: Engine, prompt: str, max_tokens: int, adapter: str = "") -> str:
    return (await _ask(engine, prompt, max_tokens, adapter=adapter))[0]


async def _ask(
    engine: Engine,
    prompt: str,
    max_tokens: int,
    temperature: float = 0.0,
    seed: int | None = None,
    ignore_eos: bool = False,
    adapter: str = "",
) -> tuple[str, Finished]:
    """TrialFailed where the engine cannot answer."""
    job = Job(
        id=next(_numbers),
        messages=[{"role": "user", "content": prompt}],
        max_tokens=max_tokens,
        temperature=temperature,
        seed=seed,
        ignore_eos=ignore_eos,
        cache_salt=SALT,
        adapter=adapter,
    )
    text, is_done = "", False
    try:
        async with contextlib.aclosing(engine.generate(job)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finished):
                    is_done = True
                    return text, piece
                text += piece if isinstance(piece, str) else piece.text
        raise EngineFailed("the engine ended an answer without saying how")
    except Fault as fault:
        raise TrialFailed(f"{prompt[:SHOWN]!r} was not answered: {fault.message}") from fault
    finally:
        if not is_done:
            engine.cancel(job.id)


def _median(rates: Iterable[float]) -> float | None:
    known = list(rates)
    return statistics.median(known) if known else None
