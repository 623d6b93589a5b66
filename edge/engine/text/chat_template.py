"""A conversation and a bundle's chat template to the text that the model reads.

Jinja2 in its sandbox, with the settings and functions that Transformers gives a chat template
(`transformers.utils.chat_template_utils`), so that the text is the same byte for byte.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edge.errors import BadRequest, BundleError


def render(
    template: str, conversation: Sequence[Mapping[str, Any]], special_tokens: Mapping[str, str] | None = None
) -> str:
    """The prompt text of a conversation, ending where the assistant begins, or goes on with a last turn of its own.

    Raises BadRequest where the template refuses the conversation (roles that do not alternate, say).
    """
    special = {"bos_token": "", "eos_token": "", **(special_tokens or {})}
    if conversation and conversation[-1]["role"] == "assistant":
        return _begun(template, conversation, special)
    return _rendered(template, conversation, special, add_generation_prompt=True)


def _begun(template: str, conversation: Sequence[Mapping[str, Any]], special: Mapping[str, str]) -> str:
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
    template: str, conversation: Sequence[Mapping[str, Any]], special: Mapping[str, str], add_generation_prompt: bool
) -> str:
    try:
        return _compiled(template).render(messages=conversation, add_generation_prompt=add_generation_prompt, **special)
    except TemplateError as error:
        raise BadRequest(f"the model's chat template refuses these messages: {error}", "messages") from error


@lru_cache(maxsize=4)
def _compiled(template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(template)
    except TemplateError as error:
        raise BundleError(f"the bundle's chat template is not valid Jinja: {error}") from error


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON without HTML escapes, as a prompt wants it."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)
