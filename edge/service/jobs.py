"""What the engine is asked: a request as a job."""

from __future__ import annotations

from typing import Any

from edge.bundle import Sampling
from edge.config import Limits
from edge.engine import Job
from edge.service.waiting import Waiting
from edge.wire.chat import ChatRequest

Guidance = tuple[dict[str, Any], bool] | None
"""A schema that the answer is held to, and whether free text would do as well."""


def job_of(
    waiting: Waiting, limits: Limits, sampling: Sampling, chat: ChatRequest | None = None, guidance: Guidance = None
) -> Job:
    """What the engine is asked; the board's `max_tokens` and the bundle's sampling where the asker said nothing.

    chat, guidance: of a round, in place of the request's own.
    """
    if waiting.is_beside:
        return Job(waiting.number, [], 0, keep=waiting.keeps, texts=waiting.request.chat.input)
    if chat is None:
        chat = waiting.request.chat
        guidance = chat.guidance()
    chosen = {name: given if (given := getattr(chat, name)) is not None else own for name, own in sampling}
    if chat.num_beams > 1:
        chosen["temperature"] = 0.0
    schema, may_be_text = guidance or (None, False)
    return Job(
        id=waiting.number,
        messages=chat.conversation(),
        max_tokens=chat.max_tokens or limits.max_tokens,
        **chosen,
        presence_penalty=chat.presence_penalty,
        frequency_penalty=chat.frequency_penalty,
        logit_bias=chat.logit_bias,
        min_tokens=chat.min_tokens,
        stop_token_ids=chat.stop_token_ids,
        scorers=chat.scorers,
        n=chat.n,
        num_beams=chat.num_beams,
        length_penalty=chat.length_penalty,
        early_stopping=chat.early_stopping,
        loop_guard=chat.loop_guard,
        seed=chat.dice,
        stop=chat.stop,
        guidance=schema,
        may_be_text=may_be_text,
        top_logprobs=chat.top_logprobs if chat.logprobs else None,
        cache_salt=salt_of(waiting.request.address.share, limits),
        pictures=chat.pictures(),
        keep=waiting.keeps,
        documents=chat.documents,
        questions=chat.questions() if chat.documents else [],
        adapter=(chat.model or "").partition(":")[2],
    )


def salt_of(share: str, limits: Limits) -> str:
    """Who may find what a client's requests leave behind in the engine."""
    return "" if limits.share_beginnings else f"client {share}"
