"""What a scripted engine says to a job for several answers: the same in each."""

from __future__ import annotations

from collections.abc import Iterator

from edge.engine import Choice, Finished, Job, Part


def said(job: Job, piece: str) -> Iterator[str | Part]:
    """A piece, of every answer that is asked for."""
    if job.n == 1:
        yield piece
    else:
        yield from (Part(number, piece) for number in range(job.n))


def ended(job: Job, reason: str, tokens: int, prefill_seconds: float = 0.0, decode_seconds: float = 0.0) -> Finished:
    """How it ended, after so many tokens of each."""
    choices = [Choice(reason, tokens)] * job.n if job.n > 1 else None
    return Finished(reason, 1, tokens * job.n, prefill_seconds, decode_seconds, choices=choices)
