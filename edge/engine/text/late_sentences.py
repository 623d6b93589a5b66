"""A bundle's embedding model, loaded for the first who needs it: a question of documents, or texts to be embedded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge.bundle import Bundle

if TYPE_CHECKING:
    from edge.engine.text.sentences import Sentences


class LateSentences:
    """A bundle's embedding model, one for all who need it, on any thread."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._lock = threading.Lock()
        self._loaded: Sentences | None = None

    def loaded(self) -> Sentences | None:
        """The model; None where the bundle brings none. Raises BundleError where it cannot be loaded."""
        if self._bundle.manifest.sentences is None:
            return None
        from edge.engine.text.sentences import Sentences

        with self._lock:
            if self._loaded is None:
                self._loaded = Sentences(self._bundle.path, self._bundle.manifest.sentences)
            return self._loaded

    def ease(self) -> None:
        """Let it go; whoever needs it next loads it again."""
        with self._lock:
            self._loaded = None
