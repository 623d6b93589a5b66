"""Whether what is served can make the vectors that a request asks for."""

from __future__ import annotations

from collections.abc import Collection

from edge.bundle import Manifest
from edge.errors import Unsupported
from edge.wire.chat import ChatRequest
from edge.wire.embeddings import check


def check_vectors(chat: ChatRequest, manifest: Manifest, shelved: Collection[str] = ()) -> None:
    """That the bundle which a request names can. shelved: bundles whose own names mean their embedding models.

    Unsupported where the bundle brings no embedding model; else what `edge.wire.embeddings.check` raises.
    """
    model = manifest.sentences
    if model is None:
        way = "`edge-export BUNDLE -o NEW --sentences all-MiniLM-L6-v2` makes one that does"
        raise Unsupported(f"the bundle {manifest.name} brings no embedding model; {way}", "input")
    wanted = None if chat.model in shelved else chat.model
    check(chat, wanted, model.name, model.dimensions)
