"""What a terminal message tells beside its text, in a line: tokens, times, joules, what slowed it down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.mqtt.client import UNREADABLE


def summary(reply: dict[str, Any]) -> str:
    """Tokens and times of a terminal message in a line."""
    try:
        usage, times = reply["usage"], reply["timings"]
        made, seconds = usage["completion_tokens"], times["decode_seconds"]
        rate = f"{made / seconds:.1f} tokens/s" if seconds else "no tokens"
        seen = f" ({sum(usage['picture_tokens'])} of pictures)" if "picture_tokens" in usage else ""
        tokens = f"{usage['prompt_tokens']}{seen} + {made} tokens"
        ended = f"{tokens}, first after {times['first_token_seconds'] or 0:.2f} s, {rate} ({reply['finish_reason']})"
        return f"{ended}{taken(reply.get('energy') or {})}{held(reply.get('slowed') or {})}"
    except UNREADABLE:
        return "its tokens and times cannot be read"


def taken(energy: Mapping[str, Any]) -> str:
    """The joules of an answer, without an idle board's where those are known; nothing where nobody measured."""
    if not energy:
        return ""
    net, gross = energy.get("net_joules"), energy["gross_joules"]
    return f", {gross:.1f} J with an idle board's" if net is None else f", {net:.1f} J"


def held(slowed: Mapping[str, Any]) -> str:
    """Why the board's governor slowed an answer down; nothing where it did not."""
    return f"; slowed down: {slowed['reason']}" if slowed else ""
