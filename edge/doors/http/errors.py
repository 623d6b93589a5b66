"""Our faults as OpenAI's API tells them: a status that its clients know, and an `error` object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.responses import JSONResponse

from edge.errors import Fault


class Shape(NamedTuple):
    """How a fault is told. retries: whether clients should try it again by themselves; None leaves it to them."""

    status: int
    type: str
    code: str | None = None
    retries: bool | None = None


INVALID = "invalid_request_error"
SHAPES = {
    400: Shape(400, INVALID),
    401: Shape(401, INVALID, "invalid_api_key"),
    403: Shape(403, INVALID, "forbidden"),
    404: Shape(404, INVALID, "model_not_found"),
    405: Shape(405, INVALID, "method_not_allowed"),
    408: Shape(408, "timeout", "deadline_exceeded", False),
    409: Shape(409, INVALID, "conflict", False),
    413: Shape(413, INVALID, "request_too_large"),
    415: Shape(400, INVALID, "unsupported"),
    431: Shape(431, INVALID, "request_too_large"),
    429: Shape(429, "rate_limit_error", "rate_limit_exceeded"),
    499: Shape(503, "server_error", "cancelled", False),
    500: Shape(500, "server_error", "engine_failed", False),
    503: Shape(503, "server_error", "unavailable"),
}
"""By the code of the wire. 408, 409 and 500 are what OpenAI's clients try again by themselves: the time that was given
is over, the same name has another request, the daemon has tried it twice already. 415 is 400 to them: a field asks for
what the model cannot. 499 is never sent: who cancels has left, and whoever is still there is told that it was ended."""
OLLAMA = "/api/"
"""How its paths begin."""
TOO_LONG = Shape(400, INVALID, "context_length_exceeded")
"""A prompt that the model's context does not hold: programs look for this code, and shorten the conversation."""


def shape_of(code: int, message: str) -> Shape:
    """How a fault of the wire is told."""
    if code == 413 and "context" in message:
        return TOO_LONG
    return SHAPES.get(code, SHAPES[500 if code >= 500 else 400])


class Refused(Exception):
    """What a request ends with in place of an answer."""

    def __init__(
        self,
        code: int,
        message: str,
        param: str | None = None,
        retry_after: float | None = None,
        name: str | None = None,
    ) -> None:
        """code: the wire's. name: OpenAI's code, where it is not that of the wire's. retry_after: seconds."""
        super().__init__(message)
        self.shape, self.message, self.param = shape_of(code, message), message, param
        self.retry_after, self.name = retry_after, name

    @classmethod
    def of(cls, fault: Fault) -> Refused:
        """A fault that was found here."""
        return cls(fault.code, fault.message, fault.param, fault.retry_after)

    @classmethod
    def by(cls, reply: dict[str, Any]) -> Refused:
        """A reply that is no answer."""
        why = reply.get("error") or {"message": f"the answer ended: {reply['finish_reason']}"}
        return cls(reply["code"], why["message"], why.get("param"), why.get("retry_after"))

    def named(self, name_of: Callable[[str], str]) -> Refused:
        """The same, with the field at fault called as the API does that was asked. name_of: its name there."""
        if self.param is not None and (name := name_of(self.param)) != self.param:
            self.message = self.message.replace(self.param, name, 1)
            self.param = name
        return self

    def body(self) -> dict[str, Any]:
        """As OpenAI's API has it."""
        code = self.name or self.shape.code
        return {"error": {"message": self.message, "type": self.shape.type, "param": self.param, "code": code}}

    def headers(self) -> dict[str, str]:
        """When to come again, and whether at all."""
        found = {} if self.retry_after is None else {"Retry-After": str(max(1, round(self.retry_after)))}
        if self.shape.retries is not None:
            found["X-Should-Retry"] = str(self.shape.retries).lower()
        if self.shape.status == 401:
            found["WWW-Authenticate"] = "Bearer"
        return found

    def response(self, path: str) -> JSONResponse:
        """The whole answer. path: what was asked, since Ollama's API has an error as a text."""
        body = {"error": self.message} if path.startswith(OLLAMA) else self.body()
        return JSONResponse(body, self.shape.status, self.headers())
