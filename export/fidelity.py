"""What a bundle lost: its answers beside its source's, token by token, both computed a layer at a time.

The reference is the source in float32 through the fused graph; tests hold that graph to Transformers and to
independent forward passes. The bundle is measured as it was packed, through the operators that will run it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from export.progress import Report
from export.quantize import Floats
from export.stages import Cut, Text, Tokens, Values

CHUNK = 128
"""Positions whose logits are held at once."""
LARGEST = 700.0
"""The exponential of more is no float64."""
Doubles = NDArray[np.float64]


class Forward(Protocol):
    """A model, a layer at a time."""

    def enter(self, texts: list[Text]) -> list[Values]:
        """Texts at the first layer's door."""
        ...

    def layer(self, index: int) -> Callable[[Values], Values]:
        """What takes a text through a layer."""
        ...

    def logits(self) -> Callable[[Floats], Floats]:
        """What makes logits `[tokens, vocabulary]` of the last layer's output."""
        ...


class Oracle(Protocol):
    """Another reading of the same checkpoint, asked for a whole text at once."""

    def logits(self, tokens: Tokens) -> Floats:
        """Of every position of a text int64 `[1, tokens]`, float32 `[tokens, vocabulary]`."""
        ...


@dataclass(frozen=True)
class Sample:
    """A text to measure on: int64 `[1, tokens]`, from position `start` to the last but one. kind: what it is.

    picture: what stands in the places of tokens below zero, before `start`.
    """

    kind: str
    tokens: Tokens
    start: int = 0
    picture: Cut | None = None


@dataclass(frozen=True)
class Loss:
    """Over some tokens, against the source.

    kl_mean, kl_p99: divergence from the source's next-token distribution, nats. top1_agreement: share of tokens
    whose likeliest successor is the same. perplexity, reference_perplexity: of the text, bundle's and source's.
    """

    tokens: int
    kl_mean: float
    kl_p99: float
    top1_agreement: float
    perplexity: float
    reference_perplexity: float


@dataclass
class _Collected:
    divergence: list[Doubles] = field(default_factory=list)
    agrees: list[NDArray[np.bool_]] = field(default_factory=list)
    surprise: list[Doubles] = field(default_factory=list)
    reference_surprise: list[Doubles] = field(default_factory=list)

    def loss(self) -> Loss:
        divergence = np.concatenate(self.divergence)
        return Loss(
            tokens=len(divergence),
            kl_mean=float(divergence.mean()),
            kl_p99=float(np.percentile(divergence, 99)),
            top1_agreement=float(np.concatenate(self.agrees).mean()),
            perplexity=_perplexity(self.surprise),
            reference_perplexity=_perplexity(self.reference_surprise),
        )


class _Ledger:
    """What some models lost, by the kind of text."""

    def __init__(self, models: int) -> None:
        self._collected: list[dict[str, _Collected]] = [{} for _ in range(models)]

    def enter(self, model: int, kind: str, wanted: Floats, found: Floats, following: NDArray[np.int64]) -> None:
        """Take in some positions' log-probabilities: those that are wanted, and one model's."""
        _collect(self._collected[model].setdefault(kind, _Collected()), wanted, found, following)

    def losses(self) -> list[dict[str, Loss]]:
        """Of each model."""
        return [{kind: each.loss() for kind, each in into.items()} for into in self._collected]


def _perplexity(surprise: list[Doubles]) -> float:
    """Of log-probabilities, below zero, of what came; as far as a float reaches."""
    return float(np.exp(np.minimum(np.concatenate(surprise).mean(), LARGEST)))


@dataclass(frozen=True)
class Comparison:
    """losses: by the kind of text. layers: after each layer, the error of what it hands on as a share of it.

    oracle: the losses again, against another reading of the checkpoint; empty where there is none.
    """

    losses: dict[str, Loss]
    layers: list[float]
    oracle: dict[str, Loss] = field(default_factory=dict)


@dataclass(frozen=True)
class Whole:
    """A text int64 `[1, tokens]`, and what two models say of each of its tokens: float32 `[tokens, vocabulary]`."""

    tokens: Tokens
    wanted: Floats
    found: Floats


def loss_of(pairs: Iterator[Whole]) -> Loss:
    """Of one model against another, over whole texts; their logits are written over."""
    into = _Collected()
    for each in pairs:
        for part in _chunks(0, each.tokens.shape[1] - 1):
            wanted, found = each.wanted[part], each.found[part]
            _log_softmax(wanted)
            _log_softmax(found)
            _collect(into, wanted, found, each.tokens[0, part.start + 1 : part.stop + 1])
    return into.loss()


def compare(
    source: Forward,
    bundles: Sequence[Forward],
    samples: list[Sample],
    layers: int,
    report: Report,
    oracle: Oracle | None = None,
) -> list[Comparison]:
    """Each bundle against the source, in one pass over the source's weights.

    oracle: what each is compared with, too; the last comparison is that of the source itself then.
    """
    models = (source, *bundles)
    streams = [model.enter([Text(sample.tokens, sample.picture) for sample in samples]) for model in models]
    errors: list[list[float]] = [[] for _ in bundles]
    for index in range(layers):
        report("verify", index, layers, f"layer {index}")
        for number, model in enumerate(models):
            advance = model.layer(index)
            streams[number] = [advance(values) for values in streams[number]]
        for error, stream in zip(errors, streams[1:], strict=True):
            error.append(_error(streams[0], stream))
    report("verify", layers, layers, "logits")
    losses, truths = _losses([model.logits() for model in models], streams, samples, report, oracle)
    found = [Comparison(*each) for each in zip(losses[1:], errors, truths[1:], strict=True)]
    return [*found, Comparison({}, [], truths[0])] if oracle else found


def _error(wanted: list[Values], found: list[Values]) -> float:
    """The mean square of the difference over the mean square of what is wanted, in the residual stream."""
    pairs = [(a["residual"], b["residual"]) for a, b in zip(wanted, found, strict=True)]
    wrong, whole = (float(sum(each)) for each in ((_power(a - b) for a, b in pairs), (_power(a) for a, _ in pairs)))
    return wrong / whole if whole else math.inf if wrong else 0.0


def _power(values: Floats) -> float:
    return float(np.square(values).sum())


def _losses(
    heads: list[Callable[[Floats], Floats]],
    streams: list[list[Values]],
    samples: list[Sample],
    report: Report,
    oracle: Oracle | None,
) -> tuple[list[dict[str, Loss]], list[dict[str, Loss]]]:
    """For each model, its losses against the first and against the oracle, by the kind of text."""
    by_first, by_oracle = _Ledger(len(heads)), _Ledger(len(heads))
    for number, sample in enumerate(samples):
        truth = None
        if oracle:
            report("oracle", number, len(samples), sample.kind)
            truth = oracle.logits(sample.tokens)
        for part in _chunks(sample.start, sample.tokens.shape[1] - 1):
            following = sample.tokens[0, part.start + 1 : part.stop + 1]
            wanted = _log_probabilities(heads[0], streams[0][number], part)
            true = None if truth is None else truth[part].copy()
            if true is not None:
                _log_softmax(true)
            for model, (head, stream) in enumerate(zip(heads, streams, strict=True)):
                found = _log_probabilities(head, stream[number], part) if model else wanted
                by_first.enter(model, sample.kind, wanted, found, following)
                if true is not None:
                    by_oracle.enter(model, sample.kind, true, found, following)
    return by_first.losses(), by_oracle.losses()


def _log_probabilities(head: Callable[[Floats], Floats], values: Values, part: slice) -> Floats:
    """Of some positions of a text."""
    found = head(values["normed"][0, part])
    _log_softmax(found)
    return found


def _chunks(start: int, stop: int) -> Iterator[slice]:
    for first in range(start, stop, CHUNK):
        yield slice(first, min(first + CHUNK, stop))


def _collect(into: _Collected, wanted: Floats, found: Floats, following: NDArray[np.int64]) -> None:
    """Take in some positions' log-probabilities, float32 `[positions, vocabulary]`."""
    divergence = [np.dot(np.exp(each), each - other) for each, other in zip(wanted, found, strict=True)]
    into.divergence.append(np.array(divergence, np.float64))
    into.agrees.append(wanted.argmax(-1) == found.argmax(-1))
    rows = np.arange(len(following))
    into.surprise.append(-found[rows, following].astype(np.float64))
    into.reference_surprise.append(-wanted[rows, following].astype(np.float64))


def _log_softmax(logits: Floats) -> None:
    """In place, a row at a time: a row of a large vocabulary fits a processor's cache, all rows do not."""
    for row in logits:
        row -= row.max()
        row -= np.log(np.exp(row).sum(dtype=np.float64))
