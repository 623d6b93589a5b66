"""A bundle's pair of graphs of fixed shapes: one for a slice of a prompt, one for a token, over one cache.

What does not fill a slice is filled up with what nobody looks at. The graphs give back what they add to the cache, and
it is put there here. Numbers go in and come out as the graphs compute with them: 16 bits for embeddings, mask and
logits.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import EMBEDDING, SLICE_GRAPH, TOKEN_GRAPH, Bundle
from edge.engine import Options
from edge.engine.cache.caches import Caches
from edge.engine.graph.io_binding import EMBEDS, PLACES, Logits
from edge.engine.graph.packed import name_of
from edge.engine.graph.session import Ids, Tower, stopped_by
from edge.engine.providers import row_of
from edge.engine.static.caches import ChannelCaches
from edge.engine.static.compiled import open_compiled
from edge.engine.static.sessions import Sessions
from edge.errors import BundleError, EdgeError, Unsupported

LAST = "last_token"
"""The graphs' input for the token whose logits are wanted."""
SEEN, HIDDEN = np.uint16(0xFFFF), np.uint16(0)
"""In the mask: a place that is looked at, and one that is not."""


class FixedGraph:
    """The decoder. slots: texts that can be remembered at once."""

    can_tell_more = False

    def __init__(self, bundle: Bundle, options: Options, slots: int) -> None:
        manifest = bundle.manifest
        if manifest.fixed is None:
            raise BundleError(f"{bundle.path} has no graphs of fixed shapes")
        self._fixed, self.vocabulary, self._length = manifest.fixed, manifest.vocab_size, manifest.context_length
        row = row_of(options.provider)
        self._sessions = Sessions(row, options.threads)
        if self._fixed.soc and not self._sessions.compiles:
            raise BundleError(f"{bundle.path} is compiled for {self._fixed.soc}, and {row.name} cannot run what is")
        graphs = [bundle.path / name for name in (SLICE_GRAPH, TOKEN_GRAPH)]
        try:
            self._embedding = self._sessions.on_processor(bundle.path / EMBEDDING)
            self._slice, self._token = open_compiled(self._sessions, graphs, self._kept(bundle, options))
        except EdgeError:
            raise
        except Exception as error:  # a tree of its own that has no common root
            raise BundleError(f"onnxruntime cannot load {bundle.path} on {row.name}: {error}") from error
        shapes = {each.name: each.shape for each in self._token.get_inputs()}
        layers = sum(name.endswith(".key") for name in shapes)
        _, heads, size, _ = shapes["past_key_values.0.key"]
        self._caches = ChannelCaches(layers, slots, heads, self._length, size, np.dtype(np.int8))
        self.caches: Caches = self._caches
        self._outputs = [each.name for each in self._token.get_outputs() if each.name != "logits"]

    def _kept(self, bundle: Bundle, options: Options) -> Path | None:
        """Where what the provider makes of the graphs is kept; None where the bundle brings it, or nothing is kept."""
        if self._fixed.soc or not options.cache_folder:
            return None
        return Path(options.cache_folder) / "compiled" / name_of(bundle.digest, self.version)

    @property
    def version(self) -> str:
        """Of onnxruntime, and what it runs on: sums come out otherwise elsewhere."""
        return self._sessions.version

    def is_long(self, tokens: int) -> bool:  # noqa: ARG002 - the same for all
        """Never: a bundle of fixed shapes has one set of rotary factors."""
        return False

    def tokens_until_switch(self, tokens: int) -> int:  # noqa: ARG002 - the same for all
        """As many as there are."""
        return self._length

    def reckons_one_otherwise(self, adapter: str = "") -> bool:  # noqa: ARG002 - the same for all
        """No: each row is a run of its own."""
        return False

    def halt(self) -> Any:
        """A handle for one run; setting its `terminate`, from any thread, ends that run."""
        return self._sessions.halt()

    def takes_together(self, adapters: Collection[str]) -> bool:  # noqa: ARG002 - the same for all
        """No: there are no adapters."""
        return False

    def tower(self, bundle: Bundle) -> Tower:
        """None: such a bundle reads text alone."""
        raise Unsupported(f"{bundle.path} sees no pictures", "messages")

    def run(
        self,
        slot: int,
        ids: Ids,
        seen: NDArray[np.int64],
        positions: int = 1,
        is_long: bool = False,  # noqa: ARG002 - the same for all
        halt: Any = None,
        features: NDArray[np.float32] | None = None,  # noqa: ARG002 - it sees no pictures
        is_prefill: bool = False,  # noqa: ARG002 - how many tokens there are says it
        adapter: str | tuple[str, ...] = "",  # noqa: ARG002 - there are none
    ) -> Logits:
        """Logits `[rows, 1, vocabulary]` of the last position of `ids` `[rows, tokens]`, a row after the other.

        Rows lie in the slots from `slot` on; `seen` of each `[rows]` are in its cache already. Raises Stopped where its
        halt was used.
        """
        assert positions == 1
        made = [self._text(slot + row, tokens, int(seen[row]), halt) for row, tokens in enumerate(ids)]
        return np.stack(made)[:, None]

    def _text(self, slot: int, tokens: NDArray[np.int64], seen: int, halt: Any) -> Logits:
        """One text's tokens into its cache, a slice at a time or a token."""
        size = 1 if len(tokens) == 1 else self._fixed.slice_tokens
        codes = np.empty(0, np.uint16)
        for start in range(0, len(tokens), size):
            codes = self._run(slot, tokens[start : start + size], seen + start, size, halt)
        made: Logits = (codes.astype(np.float32) - self._fixed.logits_zero_point) * np.float32(self._fixed.logits_scale)
        return made

    def _run(self, slot: int, tokens: NDArray[np.int64], seen: int, size: int, halt: Any) -> NDArray[np.uint16]:
        count, session = len(tokens), self._token if size == 1 else self._slice
        filled = np.zeros((1, size), np.int64)
        filled[0, :count] = tokens
        with stopped_by(halt):
            feeds = {EMBEDS: self._embedding.run([EMBEDS], {"input_ids": filled})[0], **self._around(seen, size, count)}
            for layer, (keys, values) in enumerate(zip(self._caches.keys, self._caches.values, strict=True)):
                feeds[f"past_key_values.{layer}.key"] = keys[slot][None]
                feeds[f"past_key_values.{layer}.value"] = values[slot][None]
            logits, *added = session.run(["logits", *self._outputs], feeds, halt)
        for name, part in zip(self._outputs, added, strict=True):
            _, layer, kind = name.split(".")
            if kind == "key":
                self._caches.keys[int(layer), slot, :, :, seen : seen + count] = part[0, :, :, :count]
            else:
                self._caches.values[int(layer), slot, :, seen : seen + count] = part[0, :, :count]
        codes: NDArray[np.uint16] = logits[0, 0]
        return codes

    def _around(self, seen: int, size: int, count: int) -> dict[str, NDArray[Any]]:
        """Where the tokens are in their text, what each may look at, and which of them is the last."""
        places = np.minimum(np.arange(seen, seen + size), self._length - 1).astype(np.int32)
        before = np.broadcast_to(np.arange(self._length) < seen, (size, self._length))
        seen_places = np.concatenate([before, np.tri(size, dtype=np.bool_)], axis=1)
        mask = np.where(seen_places, SEEN, HIDDEN)[None, None]
        return {PLACES: places, "attention_mask": mask, LAST: np.array([count - 1], np.int32)}
