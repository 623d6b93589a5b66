"""Questions as a model reads them: conversations in its chat template, each answer being the right one.

So one pass over a conversation tells all of its answers, and each question has those before it for examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from edge.engine.text.chat_template import render
from edge.errors import BadRequest
from export.stages import Tokens
from export.tasks.questions import Part, Question

LENGTH = 1024
"""Tokens of a conversation, where the context allows as many."""
Encode = Callable[[str], list[int]]
Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Place:
    """Where a question's answer is. start: of its first token in the text. answer: the right one's tokens.

    labels: those of each answer that there is; empty where any may be given.
    """

    question: Question
    start: int
    answer: tuple[int, ...]
    labels: tuple[tuple[int, ...], ...]

    @property
    def rows(self) -> range:
        """The positions whose logits tell what is answered: one for each token, and one for what comes behind."""
        return range(self.start - 1, self.start + len(self.answer))


@dataclass
class Conversation:
    """Token ids, and the answers among them."""

    ids: list[int] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    @property
    def tokens(self) -> Tokens:
        """Int64 `[1, n]`."""
        return np.array([self.ids], np.int64)


def conversations(questions: Sequence[Question], template: str, encode: Encode, context: int) -> list[Conversation]:
    """All questions that the model can read: those of a part by turns, as many in a conversation as it has room for.

    template: its chat template. encode: its tokenizer. context: tokens that it may read. A question that does not fit,
    whose words the tokenizer does not know, or that the template refuses, is left out.
    """
    made: list[Conversation] = []
    by_part = groupby(sorted(questions, key=_part), key=_part)
    for _, each in by_part:
        made += _of_part(list(each), template, encode, min(LENGTH, context))
    return made


def _part(question: Question) -> tuple[str, str]:
    return question.kind, question.part.instruction


def _of_part(questions: list[Question], template: str, encode: Encode, room: int) -> Iterator[Conversation]:
    """A new conversation where the one before is full, or where the template writes what was said another way."""
    first = beginning(questions[0].part)
    messages, talk = list(first), Conversation()
    for question in questions:
        place = _placed(question, [*messages, asked(question)], template, encode)
        if place is None or len(place.ids) > room or place.ids[: len(talk.ids)] != talk.ids:
            if talk.places:
                yield talk
            messages, talk = list(first), Conversation()
            place = _placed(question, [*messages, asked(question)], template, encode)
        if place is not None and len(place.ids) <= room:
            messages += [asked(question), said(question.answer)]
            talk = Conversation(place.ids, [*talk.places, *place.places])
    if talk.places:
        yield talk


def beginning(part: Part) -> Messages:
    """The instruction and the examples, as turns of a conversation."""
    turns = [turn for each in part.examples for turn in (_asks(each.question), said(each.answer))]
    turns[0] = _asks(f"{part.instruction}\n\n{turns[0]['content']}")
    return turns


def asked(question: Question) -> dict[str, str]:
    """The turn that asks it."""
    return _asks(question.prompt)


def _asks(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, str]:
    """The turn that answers."""
    return {"role": "assistant", "content": text}


def _placed(question: Question, messages: Messages, template: str, encode: Encode) -> Conversation | None:
    """A conversation up to the end of its last answer; None where it cannot be told by its tokens."""
    try:
        prompt = render(template, messages)
    except BadRequest:
        return None
    before = encode(prompt)

    def behind(answer: str) -> tuple[int, ...]:
        whole = encode(prompt + answer)
        return tuple(whole[len(before) :] if whole[: len(before)] == before else encode(answer))

    answer = behind(question.answer)
    labels = tuple(answer if label == question.answer else behind(label) for label in question.part.labels)
    if not before or not answer or not _differ(labels):
        return None
    return Conversation([*before, *answer], [Place(question, len(before), answer, labels)])


def _differ(labels: Sequence[tuple[int, ...]]) -> bool:
    """Whether each can be told from all others by a token: none begins another."""
    pairs = [(one, other) for one in labels for other in labels if one is not other]
    return all(one[: len(other)] != other for one, other in pairs)
