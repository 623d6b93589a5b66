"""Which model a request names: the bundle that is served, or `NAME:ADAPTER`, the bundle with one of its adapters."""

from __future__ import annotations

from edge.bundle import Manifest
from edge.errors import NotFound


def adapter_of(model: str | None, manifest: Manifest, now: str = "") -> str:
    """The adapter that a request names, empty for none. now: " now" where the request was let in for another bundle.

    Raises NotFound where the bundle is another, or has no such adapter; it names those that there are.
    """
    if model is None:
        return ""
    name, colon, adapter = model.partition(":")
    if name != manifest.name:
        raise NotFound(f"this board serves {manifest.name}{now}, not {model[:100]!r}", "model")
    there = [each.name for each in manifest.adapters]
    if colon and adapter not in there:
        known = ", ".join(there) or "none"
        raise NotFound(f"{name} has no adapter {adapter[:100]!r}{now}; there are: {known}", "model")
    return adapter
