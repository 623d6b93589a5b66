"""What a bundle lost: its answers beside its source's, token by token, both computed a layer at a time.

The reference is the source in float32 through the fused graph; tests hold that graph to Transformers and to
independent forward passes. The bundle is measured as it was packed, through the operators that will run it.
"""

from __future__ import annotations

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
            perplexity=float(np.exp(np.concatenate(self.surprise).mean())),
            reference_perplexity=float(np.exp(np.concatenate(self.reference_surprise).mean())),
        )


@dataclass(frozen=True)
class Comparison:
    """losses: by the kind of text. layers: after each layer, the error of what it hands on as a share of it."""

    losses: dict[str, Loss]
    layers: list[float]


def compare(
    source: Forward, bundles: Sequence[Forward], samples: list[Sample], layers: int, report: Report
) -> list[Comparison]:
    """Each bundle against the source, in one pass over the source's weights."""
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
    losses = _losses([model.logits() for model in models], streams, samples)
    return [Comparison(loss, error) for loss, error in zip(losses, errors, strict=True)]


def _error(wanted: list[Values], found: list[Values]) -> float:
    """The mean square of the difference over the mean square of what is wanted, in the residual stream."""
    pairs = [(a["residual"], b["residual"]) for a, b in zip(wanted, found, strict=True)]
    return float(sum(np.square(a - b).sum() for a, b in pairs) / sum(np.square(a).sum() for a, _ in pairs))


def _losses(
    heads: list[Callable[[Floats], Floats]], streams: list[list[Values]], samples: list[Sample]
) -> list[dict[str, Loss]]:
    """For each model after the first, its losses against the first by the kind of text."""
    collected: list[dict[str, _Collected]] = [{} for _ in heads[1:]]
    for number, sample in enumerate(samples):
        for part in _chunks(sample.start, sample.tokens.shape[1] - 1):
            following = sample.tokens[0, part.start + 1 : part.stop + 1]
            wanted, *rest = (
                head(stream[number]["normed"][0, part]) for head, stream in zip(heads, streams, strict=True)
            )
            _log_softmax(wanted)
            for into, found in zip(collected, rest, strict=True):
                _log_softmax(found)
                _collect(into.setdefault(sample.kind, _Collected()), wanted, found, following)
    return [{kind: each.loss() for kind, each in into.items()} for into in collected]


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
