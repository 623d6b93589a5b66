"""`/v1/completions`: a prompt as a user's turn, and what the model answers.

That older API goes on with a text. A board's models were made to answer turns, and a prompt of the wire is one. Who
wants an answer that begins with given words sends them to `/v1/chat/completions` as a last turn of `assistant`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.doors.http.asking import asked_of, choices_of, fields_of, house_of, reply_to, told
from edge.doors.http.chat import beside, finish_of, options_of, usage_of
from edge.doors.http.errors import Refused
from edge.doors.http.events import ServerSent, data, streamed

HARMLESS: dict[str, tuple[Any, ...]] = {"best_of": (1,), "echo": (False,), "suffix": ("",)}
"""Fields of that API that ask for another answer, and what of them asks for none."""


async def answer(request: Request) -> Response:
    """What the model says to a prompt."""
    house, given = house_of(request), await fields_of(request)
    is_stream, has_usage = options_of(given)
    fields = as_asked(given)
    asked = asked_of(request, fields, "cmpl", has_choices=True)
    model = str(house.about(fields.get("model"))["model"])
    writer = Texts(asked.id, model, has_usage, len(fields["prompt"]))
    if not is_stream:
        return JSONResponse(writer.whole(await reply_to(house.inside, asked)))
    return await streamed(told(house.inside, asked), writer)


def as_asked(given: dict[str, Any]) -> dict[str, Any]:
    """The fields as the wire has them. Refused where they ask for what it has not."""
    fields = {name: value for name, value in given.items() if name not in HARMLESS}
    for name, values in HARMLESS.items():
        if name in given and given[name] not in values:
            raise Refused(400, f"{name} cannot be followed here: leave it out", name)
    if "messages" in fields:
        raise Refused(400, "messages are for /v1/chat/completions: say prompt", "messages")
    fields["prompt"] = _one_text(fields.get("prompt"))
    if "logprobs" in fields and not isinstance(fields["logprobs"], bool):
        fields["logprobs"], fields["top_logprobs"] = True, fields["logprobs"]
    return fields


def _one_text(prompt: Any) -> str:
    """A text, or a list of one; lists of tokens mean nothing to who has another tokenizer."""
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        reason = "is missing" if prompt is None else "should be one text: ask again for another, and not in tokens"
        raise Refused(400, f"prompt {reason}", "prompt")
    return prompt


class Texts(ServerSent):
    """A completion, or the pieces of one. offset: characters of the prompt, from which that API counts its tokens."""

    def __init__(self, name: str, model: str, has_usage: bool, offset: int) -> None:
        self._same = {
            "id": name,
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": f"edge-{model}",
        }
        self._has_usage, self._offset = has_usage, offset

    def _ended(self, text: str, answer: dict[str, Any], number: int) -> dict[str, Any]:
        logprobs = likely(answer, self._offset)
        return {"index": number, "text": text, "logprobs": logprobs, "finish_reason": finish_of(answer)}

    def whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        """The whole answer."""
        choices = [self._ended(each["text"], each, number) for number, each in enumerate(choices_of(reply))]
        return {**self._same, "choices": choices, "usage": usage_of(reply), "edge": beside(reply)}

    def piece(self, text: str, choice: int = 0) -> Iterable[bytes]:
        """More of it."""
        more = {"index": choice, "text": text, "logprobs": None, "finish_reason": None}
        return (data({**self._same, "choices": [more]}),)

    def end(self, reply: dict[str, Any]) -> Iterator[bytes]:
        """Why it ends, and what it took."""
        *others, last = [self._ended("", each, number) for number, each in enumerate(choices_of(reply))]
        for each in others:
            yield data({**self._same, "choices": [each]})
        yield data({**self._same, "choices": [last], "edge": beside(reply)})
        if self._has_usage:
            yield data({**self._same, "choices": [], "usage": usage_of(reply)})
        yield data("[DONE]")


def likely(reply: dict[str, Any], offset: int) -> dict[str, Any] | None:
    """Logprobs as that API has them: a list a column. None where none were asked for."""
    if "logprobs" not in reply:
        return None
    found = reply["logprobs"]["content"]
    offsets, place = [], offset
    for each in found:
        offsets.append(place)
        place += len(each["token"])
    return {
        "tokens": [each["token"] for each in found],
        "token_logprobs": [each["logprob"] for each in found],
        "top_logprobs": [{other["token"]: other["logprob"] for other in each["top_logprobs"]} for each in found],
        "text_offset": offsets,
    }
