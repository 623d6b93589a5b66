"""Whether a chat template will serve: it parses, and it says what a person says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.engine.text.chat_template import render
from edge.errors import BadRequest, BundleError
from export.errors import SourceError

SAID = "What does 1 + 1 make?"


def check_template(template: str, special: Mapping[str, Any]) -> None:
    """SourceError where a template is no Jinja, refuses one question, or leaves out what it asks."""
    try:
        text = render(template, [{"role": "user", "content": SAID}], special)
    except (BundleError, BadRequest) as error:
        raise SourceError(f"the chat template cannot be used: {error}; correct it") from error
    if SAID not in text:
        raise SourceError(
            "the chat template leaves out what a user says where that is a text; write one that takes texts"
        )
