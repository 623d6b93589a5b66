"""What a program is told in OpenAI's Responses API: the response as it stands, and the events of a stream.

The order of the events and what each has are those that `openai.lib.streaming.responses` puts together again. What the
API has no word for is beside it in `edge`, so that nothing is hidden.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from edge.doors.http.asking import Waits
from edge.doors.http.calls import Kept, words_of
from edge.doors.http.chat import beside, finish_of, likely
from edge.doors.http.errors import Refused
from edge.doors.http.responses_asked import Understood
from edge.wire.message import dumps

CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt", 413: "invalid_prompt", 415: "invalid_prompt"}
"""The API's words for what was wrong; for everything else it has `server_error`."""


class Response:
    """One response, whole or as a stream. name: the request's. about: the board's info message."""

    media_type = "text/event-stream"

    def __init__(self, name: str, asked: Understood, about: Mapping[str, Any]) -> None:
        self._asked, self._about = asked, about
        self._id, self._item = name, f"msg_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._kept = Kept(asked.fields)
        self._count = 0
        self._is_running = self._is_open = False

    def whole(self, reply: dict[str, Any]) -> dict[str, Any]:
        """It, answered: the body of an answer that is not streamed."""
        status = "incomplete" if finish_of(reply) == "length" else "completed"
        return self._body(status, self._output(reply, status), reply)

    def begin(self) -> Iterator[bytes]:
        """Nothing: what comes first is told with what comes next."""
        return iter(())

    def waits(self, waits: Waits | None) -> Iterator[bytes]:
        """That it waits, which is told once; after that a comment, which readers of events pass over."""
        if self._count:
            yield f": queued {waits.place}\n\n".encode() if waits else b": working\n\n"
        else:
            yield from self._begun("queued" if waits else "in_progress")

    def piece(self, text: str, choice: int = 0) -> Iterator[bytes]:  # noqa: ARG002 - there is one
        """More of the answer's text, unless it may be a call."""
        if more := self._kept.by(text):
            yield from self._delta(more)

    def end(self, reply: dict[str, Any]) -> Iterator[bytes]:
        """How it ended."""
        yield from self._begun("in_progress")
        if not reply.get("tool_calls") and (self._kept.text or not self._is_open):
            yield from self._delta(self._kept.text)
        whole = self.whole(reply)
        if self._is_open:
            yield from self._closed(whole["output"][0])
        for index, item in enumerate(whole["output"]):
            if item["type"] == "function_call":
                yield from self._called(index, item)
        yield self._event(f"response.{whole['status']}", response=whole)

    def broken(self, refused: Refused) -> Iterator[bytes]:
        """That there will be no more of it."""
        yield from self._begun("in_progress")
        refused = refused.named(self._asked.asked_name)
        known = {"code": CODES.get(refused.shape.status, "server_error"), "message": refused.message}
        yield self._event("response.failed", response=self._body("failed", [], None) | {"error": known})

    def _delta(self, text: str) -> Iterator[bytes]:
        yield from self._begun("in_progress")
        if not self._is_open:
            yield from self._opened()
        yield self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])

    def _begun(self, state: str) -> Iterator[bytes]:
        """What comes before anything else; `queued` may come between the two."""
        if not self._count:
            yield self._event("response.created", response=self._body(state, [], None))
        if not self._is_running:
            self._is_running = state == "in_progress"
            yield self._event(f"response.{state}", response=self._body(state, [], None))

    def _opened(self) -> Iterator[bytes]:
        self._is_open = True
        item = {"id": self._item, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        yield self._event("response.output_item.added", output_index=0, item=item)
        yield self._event("response.content_part.added", **self._place(), part=_text("", []))

    def _closed(self, item: dict[str, Any]) -> Iterator[bytes]:
        (part,) = item["content"]
        yield self._event("response.output_text.done", **self._place(), text=part["text"], logprobs=part["logprobs"])
        yield self._event("response.content_part.done", **self._place(), part=part)
        yield self._event("response.output_item.done", output_index=0, item=item)

    def _called(self, index: int, item: dict[str, Any]) -> Iterator[bytes]:
        """A call, all at once: it is one as soon as it is whole."""
        place = {"item_id": item["id"], "output_index": index}
        begun = {**item, "status": "in_progress", "arguments": ""}
        yield self._event("response.output_item.added", output_index=index, item=begun)
        yield self._event("response.function_call_arguments.delta", **place, delta=item["arguments"])
        yield self._event("response.function_call_arguments.done", **place, arguments=item["arguments"])
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item, "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **more: Any) -> bytes:
        self._count += 1
        event = {"type": kind, "sequence_number": self._count - 1, **more}
        return f"event: {kind}\ndata: ".encode() + dumps(event) + b"\n\n"

    def _output(self, reply: dict[str, Any], status: str) -> list[dict[str, Any]]:
        """A message, calls, or a message and calls."""
        words, calls = words_of(reply), [_call(call) for call in reply.get("tool_calls") or []]
        if calls and not (words or self._is_open):
            return calls
        tokens = (likely(reply) or {"content": []})["content"]
        item = {"id": self._item, "type": "message", "status": status, "role": "assistant"}
        return [{**item, "content": [_text(words, tokens)]}, *calls]

    def _body(self, status: str, output: list[dict[str, Any]], reply: dict[str, Any] | None) -> dict[str, Any]:
        """The response as it stands. reply: None before there is one."""
        said, sampling = self._asked.said, self._about["sampling"]
        used = {name: sampling[name] if said[name] is None else said[name] for name in ("temperature", "top_p")}
        is_cut = status == "incomplete"
        body = {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "completed_at": int(time.time()) if status == "completed" else None,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "model": self._about["model"],
            "output": output,
            "usage": None if reply is None else _usage(reply["usage"]),
            **said,
            **used,
        }
        body |= {"store": False, "background": False, "previous_response_id": None, "service_tier": "default"}
        return body if reply is None else body | {"edge": self._beside(reply)}

    def _beside(self, reply: dict[str, Any]) -> dict[str, Any]:
        return beside(reply) | {"warnings": [*self._asked.warnings, *reply["warnings"]]}


def _text(text: str, tokens: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": tokens}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call, in this API's form."""
    function = call["function"]
    item = {"id": f"fc_{uuid.uuid4().hex}", "type": "function_call", "status": "completed", "call_id": call["id"]}
    return {**item, "name": function["name"], "arguments": function["arguments"]}


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    read, made = usage["prompt_tokens"], usage["completion_tokens"]
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": usage["cached_tokens"], "cache_write_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + made,
    }
