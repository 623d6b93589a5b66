"""A conversation and a bundle's chat template to the text that the model reads.

Jinja2 in its sandbox, with the settings and functions that Transformers gives a chat template
(`transformers.utils.chat_template_utils`), so that the text is the same byte for byte.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edge.errors import BadRequest, BundleError


def render(
    template: str, conversation: Sequence[Mapping[str, Any]], special_tokens: Mapping[str, Any] | None = None
) -> str:
    """The prompt text of a conversation, ending where the assistant begins, or goes on with a last turn of its own.

    special_tokens: control tokens by the names that templates have for them; one that is not set is undefined there.
    Raises BadRequest where the template refuses the conversation (roles that do not alternate, say).
    """
    special = special_tokens or {}
    if conversation and conversation[-1]["role"] == "assistant":
        return _begun(template, conversation, special)
    return _rendered(template, conversation, special, add_generation_prompt=True)


def _begun(template: str, conversation: Sequence[Mapping[str, Any]], special: Mapping[str, Any]) -> str:
    """The text up to where the last turn's content ends, without what the template puts behind it.

    By the rule of Transformers' `continue_final_message`: a mark is put behind the content, and the text is cut there;
    where the template has trimmed the mark, spaces before it go, too.
    """
    *before, last = conversation
    mark, content = f"here {uuid.uuid4().hex}", last["content"]  # nobody can guess it, so that no turn can say it
    marked = [*before, {**last, "content": f"{content}{mark} "}]
    text, found, behind = _rendered(template, marked, special, add_generation_prompt=False).rpartition(mark)
    if not found or content.strip() not in text:
        raise BadRequest("the model's chat template leaves out what the last turn says", "messages")
    return text if behind.startswith(" ") else text.rstrip()


def _rendered(
    template: str, conversation: Sequence[Mapping[str, Any]], special: Mapping[str, Any], add_generation_prompt: bool
) -> str:
    named = {"messages": conversation, "tools": None, "documents": None, "add_generation_prompt": add_generation_prompt}
    try:
        return _compiled(template).render({**special, **named})
    except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise BadRequest(f"the model's chat template refuses these messages: {error}", "messages") from error


@lru_cache(maxsize=4)
def _compiled(template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(template)
    except TemplateError as error:
        raise BundleError(f"the bundle's chat template is not valid Jinja: {error}") from error


class _Generation(Extension):
    """`{% generation %}`: what of a text the assistant said. Training wants to know; here it is text as any other.

    A block that is called, as it is in Transformers, so that what is set within is not set behind it.
    """

    tags = {"generation"}  # noqa: RUF012 - jinja2's own attribute

    def parse(self, parser: Parser) -> nodes.Node:
        """A block up to `{% endgeneration %}`."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    def _said(self, caller: Callable[[], str]) -> str:
        return caller()


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without HTML escapes, as a prompt wants it."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)
