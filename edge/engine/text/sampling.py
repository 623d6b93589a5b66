"""From logits to tokens: every row by its own options and its own dice.

In the order of Transformers' `LogitsProcessor`s and of vLLM: biases, repetition penalty (arXiv:1909.05858), frequency
and presence penalty (OpenAI's API), what a grammar allows or the least length, temperature, top-k, top-p
(arXiv:1904.09751), min-p (arXiv:2407.01082). A temperature of 0 takes the likeliest token.
A row throws one die a token and nothing else throws it, so that a seed gives the same answer whatever is beside it
(and behind whatever is remembered: decision 30).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engine import Job
from edge.errors import BadRequest

Row = NDArray[np.float32]
NO_NUMBERS = "the model's logits are not numbers"


class Sampler:
    """The options of one job and where its dice stand. prompt: its token ids; those below zero are a picture's.

    stops: tokens that end an answer.
    """

    def __init__(self, job: Job, prompt: Sequence[int], vocabulary: int, stops: Collection[int] = ()) -> None:
        self._job, self._stops, self._taken = job, list(stops), 0
        self._biased = np.fromiter(job.logit_bias, np.int64), np.fromiter(job.logit_bias.values(), np.float32)
        self._counts = np.zeros(vocabulary, np.int32) if job.presence_penalty or job.frequency_penalty else None
        self._dice = np.random.Generator(np.random.PCG64(job.seed))
        self._said = np.zeros(vocabulary, np.bool_) if job.repetition_penalty != 1 else None
        if self._said is not None:
            self._said[[token for token in prompt if token >= 0]] = True

    def choose(self, logits: Row, allowed: NDArray[np.bool_] | None = None) -> int:
        """The next token from `[vocabulary]` logits, which may be written to. ValueError where they are not numbers."""
        self._weigh(logits)
        if allowed is not None:
            logits[~allowed] = -np.inf
        elif self._taken < self._job.min_tokens:
            logits[self._stops] = -np.inf
        best = int(logits.argmax())
        if not np.isfinite(logits[best]):
            raise ValueError(NO_NUMBERS)
        token = best if self._job.temperature == 0 else self._drawn(logits)
        self.take(token)
        return token

    def weights(self, logits: Row, allowed: NDArray[np.bool_] | None = None) -> Row:
        """The logarithmic weights `[vocabulary]` of what comes next, by the options, as beam search adds them up.

        Biases and penalties are about these there, as with Transformers, and what may not come has none of the weight;
        the others keep theirs. ValueError where they are not numbers.
        """
        weights: Row = logits - logits.max()
        weights -= np.log(np.exp(weights).sum())
        if not np.isfinite(weights.max()):
            raise ValueError(NO_NUMBERS)
        self._weigh(weights)
        if allowed is not None:
            weights[~allowed] = -np.inf
        elif self._taken < self._job.min_tokens:
            weights[self._stops] = -np.inf
        return weights

    def copy(self) -> Sampler:
        """Another that goes on from here, for a search in which nothing is drawn."""
        made = copy.copy(self)
        made._counts = None if self._counts is None else self._counts.copy()
        made._said = None if self._said is None else self._said.copy()
        return made

    def _weigh(self, logits: Row) -> None:
        tokens, biases = self._biased
        logits[tokens] += biases
        if self._said is not None:
            _penalise(logits, self._said, self._job.repetition_penalty)
        if self._counts is not None:
            said = np.flatnonzero(self._counts)
            logits[said] -= self._job.presence_penalty + self._job.frequency_penalty * self._counts[said]

    def take(self, token: int) -> None:
        """It was chosen."""
        self._taken += 1
        if self._said is not None:
            self._said[token] = True
        if self._counts is not None:
            self._counts[token] += 1

    def _drawn(self, logits: Row) -> int:
        tokens, weights = self._candidates(logits)
        sums = np.cumsum(weights)
        place = int(np.searchsorted(sums, self._dice.random() * sums[-1], side="right"))
        return int(tokens[min(place, len(tokens) - 1)])

    def _candidates(self, logits: Row) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The tokens that may be drawn, and the weight of each."""
        tokens = _highest(logits, self._job.top_k)
        below = logits[tokens].astype(np.float64)
        below -= below.max()
        with np.errstate(over="ignore"):  # next to no temperature takes what is below the best out of every range
            weights = np.exp(below / self._job.temperature)
        tokens, weights = _nucleus(tokens, weights / weights.sum(), self._job.top_p)
        likely = weights >= self._job.min_p * weights.max()
        return tokens[likely], weights[likely]


def check_ids(job: Job, vocabulary: int) -> None:
    """Raise BadRequest where a job names a token that a model does not have."""
    for name in ("logit_bias", "stop_token_ids"):
        if (highest := max(getattr(job, name), default=-1)) >= vocabulary:
            raise BadRequest(f"{name} has {highest}, and this model's last token is {vocabulary - 1}", name)


def _penalise(logits: Row, said: NDArray[np.bool_], penalty: float) -> None:
    found = logits[said]
    logits[said] = np.where(found < 0, found * penalty, found / penalty)


def _highest(logits: NDArray[np.floating[Any]], count: int) -> NDArray[np.int64]:
    """The tokens of the highest logits; those that tie with the last of them stay, too. All for a count of 0."""
    if not 0 < count < len(logits):
        return np.flatnonzero(np.isfinite(logits))
    least = np.partition(logits, -count)[-count]
    return np.flatnonzero((logits >= least) & np.isfinite(logits))


def _nucleus(
    tokens: NDArray[np.int64], weights: NDArray[np.float64], mass: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The likeliest tokens that together have the mass.

    Those below `(1 - mass) / count` cannot be among them, since all of them together have less than is left out;
    so only the others are sorted.
    """
    if mass >= 1:
        return tokens, weights
    able = np.flatnonzero(weights >= (1 - mass) / len(weights))
    order = able[np.argsort(-weights[able], kind="stable")]
    count = int(np.searchsorted(np.cumsum(weights[order]), mass)) + 1
    return tokens[order[:count]], weights[order[:count]]


def log_probabilities(logits: Row) -> NDArray[np.float64]:
    """The model's own, before any option."""
    shifted = logits.astype(np.float64) - float(logits.max())
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result


def described(text: Callable[[int], str], logits: Row, token: int, count: int) -> dict[str, Any]:
    """A token's logprob and those of the likeliest others, with the OpenAI API's names. text: of a token's id."""
    known = log_probabilities(logits)
    likely = _highest(known, count) if count else np.empty(0, np.int64)  # all of a vocabulary takes long to sort
    others = likely[np.argsort(-known[likely], kind="stable")][:count]
    return {
        **_named(text, token, known),
        "top_logprobs": [_named(text, int(other), known) for other in others],
    }


def _named(text: Callable[[int], str], token: int, known: NDArray[np.float64]) -> dict[str, Any]:
    return {"token": text(token), "logprob": round(float(known[token]), 4)}
