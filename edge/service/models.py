"""Which model a request names: a bundle that is served, or `NAME:ADAPTER`, the bundle with one of its adapters."""

from __future__ import annotations

from collections.abc import Sequence

from edge.bundle import Manifest
from edge.errors import NotFound


def adapter_of(model: str | None, manifest: Manifest, served: Sequence[str] = (), now: str = "") -> str:
    """The adapter that a request names, empty for none. manifest: of the bundle that it names, or else of any.

    served: all that it may name. now: " now" where the request was let in for another bundle.

    Raises NotFound where the bundle is another, or has no such adapter; it names those that there are.
    """
    if model is None:
        return ""
    name, colon, adapter = model.partition(":")
    if name != manifest.name:
        raise NotFound(f"this board serves {', '.join(served or [manifest.name])}{now}, not {model[:100]!r}", "model")
    there = [each.name for each in manifest.adapters]
    if colon and adapter not in there:
        known = ", ".join(there) or "none"
        raise NotFound(f"{name} has no adapter {adapter[:100]!r}{now}; there are: {known}", "model")
    return adapter
