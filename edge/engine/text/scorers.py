"""Functions of others that weigh an answer's next token: found, tried once, and held to what they may do.

A package offers one in the entry points `edge.scorers`; the operator names it in `[scorers.NAME]`. It runs in this
process, with all that this process may: that is the operator's choice, as with any package that is installed. What is
held here is that a mistake in one ends the answer by name, and nothing else.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.board.at_work import tell_at_work
from edge.engine import Job
from edge.errors import ConfigError, EngineFailed, NotFound

GROUP = "edge.scorers"
Logits = NDArray[np.float32]
Score = Callable[[NDArray[np.int64], Logits], Any]
REASON_CHARACTERS = 200


class Scorer:
    """One of them. number: its place among the board's. call_seconds: that one call may take."""

    def __init__(self, name: str, number: int, score: Score, call_seconds: float) -> None:
        self.name, self._number, self._score, self._call_seconds = name, number, score, call_seconds

    def weighed(self, tokens: NDArray[np.int64], logits: Logits) -> Logits:
        """What it makes of logits `[vocabulary]`, of which it has a copy. tokens: so far, which it cannot change.

        Raises EngineFailed, which names it, where it fails, takes too long, or returns what are no logits.
        """
        started = time.perf_counter()
        found = self._said(tokens, logits.copy())
        taken = time.perf_counter() - started
        if taken > self._call_seconds:
            raise self._fault(f"took {taken:.3f} s for a token, and may take {self._call_seconds:g}")
        return self._checked(found, logits)

    def _said(self, tokens: NDArray[np.int64], logits: Logits) -> Any:
        try:
            with tell_at_work(self._number):
                return self._score(tokens, logits)
        except Exception as error:  # whatever it is, it is its own
            traceback.print_exc()
            why = " ".join(str(error).split())[:REASON_CHARACTERS]
            raise self._fault(f"failed: {type(error).__name__}: {why}") from error

    def _checked(self, found: Any, logits: Logits) -> Logits:
        if not isinstance(found, np.ndarray):
            raise self._fault(f"returned {type(found).__name__}, and should return the logits as an array")
        if found.shape != logits.shape or not np.issubdtype(found.dtype, np.floating):
            wanted = f"float32 of {list(logits.shape)}"
            raise self._fault(f"returned {found.dtype} of {list(found.shape)}, and should return {wanted}")
        with np.errstate(over="ignore"):  # what is beyond float32 is infinite, which is told
            made = found.astype(np.float32)
        highest = made.max()
        if np.isnan(highest) or not np.isfinite(highest):
            nothing = "leaves no token that may come" if highest == -np.inf else "returned what are no finite numbers"
            raise self._fault(nothing)
        return made

    def _fault(self, what: str) -> EngineFailed:
        return EngineFailed(f"the scorer {self.name!r} {what}", "scorers")


class Scorers:
    """Those of a board. settings: by name, as `[scorers.NAME]` has them. Raises ConfigError where one is not there."""

    def __init__(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        self._all = {
            name: Scorer(name, number, _found(name), each["call_seconds"])
            for number, (name, each) in enumerate(settings.items())
        }
        self._always = [name for name, each in settings.items() if each["always"]]

    def try_all(self, vocabulary: int) -> None:
        """Call each once, so that what cannot work is found at the start; ConfigError where one does not."""
        for each in self._all.values():
            patient = Scorer(each.name, each._number, each._score, float("inf"))  # the first call may prepare much
            try:
                patient.weighed(_frozen([0]), np.zeros(vocabulary, np.float32))
            except EngineFailed as error:
                raise ConfigError(f"scorers.{each.name}: tried at the start, {error.message}") from error

    def of(self, job: Job) -> list[Scorer]:
        """Those that weigh a job's answer, in the order of the settings. NotFound where it names one that is not."""
        check_names(job.scorers, self._all)
        return [each for name, each in self._all.items() if name in self._always or name in job.scorers]


def check_names(named: Collection[str], there: Collection[str]) -> None:
    """NotFound where a scorer is named that is not there."""
    if missing := [name for name in named if name not in there]:
        has = f"it has {', '.join(there)}" if there else "it has none"
        raise NotFound(f"this board has no scorer {missing[0][:100]!r}; {has}", "scorers")


def weighed(scorers: Sequence[Scorer], tokens: Sequence[int], logits: Logits) -> Logits:
    """What all of them make of logits `[vocabulary]`, one after the other."""
    if scorers:
        said = _frozen(tokens)
        for each in scorers:
            logits = each.weighed(said, logits)
    return logits


def _frozen(tokens: Sequence[int]) -> NDArray[np.int64]:
    said = np.array(tokens, np.int64)
    said.flags.writeable = False
    return said


def _found(name: str) -> Score:
    there = entry_points(group=GROUP)
    if name not in there.names:
        has = f"there are {', '.join(sorted(there.names))}" if there.names else "there is none"
        raise ConfigError(
            f"scorers.{name}: no package that is installed beside the daemon has it in its entry points {GROUP}; {has}"
        )
    entry = there[name]
    try:
        score = entry.load()
    except Exception as error:  # whatever importing it does
        traceback.print_exc()
        raise ConfigError(f"scorers.{name}: {entry.value} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(score):
        raise ConfigError(f"scorers.{name}: {entry.value} is {type(score).__name__}, and should be a function")
    made: Score = score
    return made
