"""Whether what is served can make the vectors that a request asks for."""

from __future__ import annotations

from edge.bundle import Manifest
from edge.errors import Unsupported
from edge.wire.chat import ChatRequest
from edge.wire.embeddings import check


def check_vectors(chat: ChatRequest, manifest: Manifest) -> None:
    """Unsupported where the bundle brings no embedding model; else what `edge.wire.embeddings.check` raises."""
    model = manifest.sentences
    if model is None:
        way = "`edge-export BUNDLE -o NEW --sentences all-MiniLM-L6-v2` makes one that does"
        raise Unsupported(f"the bundle {manifest.name} brings no embedding model; {way}", "input")
    check(chat, chat.model, model.name, model.dimensions)
