"""A bundle's graph over key-value caches that we own. The daemon's only file that imports onnxruntime.

onnxruntime's GroupQueryAttention writes into the cache it reads from where past and present are one buffer
(ContribOperators.md), and takes rows of different lengths by their attention mask. So the cache is a block of
memory of ours with a *slot* a text; neighbouring slots decode together, and one alone reads its prompt.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import ADAPTER_GRAPH, EMBEDDING, TOGETHER_GRAPH, VISION, Bundle, Manifest
from edge.engine import budget
from edge.engine.cache.caches import Caches
from edge.engine.graph.adapters import open_adapters
from edge.engine.graph.io_binding import EMBEDS, IS_PREFILL, Binding, Logits, Ports, PrefillBinding, Room
from edge.engine.graph.packed import name_of, open_packed
from edge.engine.graph.together import Together
from edge.errors import BundleError

ODD_TOKENS = 16
"""A cache is this much longer than its context: heads at powers of two apart fall into the same lines of the cache
of the processor (15 % slower at 4,096)."""
SPIN_MICROSECONDS = 2000
"""How long idle threads look out for work: through the gaps within a step, but not through a second of silence."""
SPIN_TOGETHER_MICROSECONDS = 200
"""The same where another graph's threads want the processor next: through the gaps alone."""
WHOLE_SCORES_TOKENS = 8192
"""Up to this context the runtime's flash attention is off: its tiles are worked through text by text, and without them
eight answers are a tenth faster. Scores of a slice take memory for the whole context then, 130 MB at 32 heads."""
MASK_TOKENS = 64
"""The attention mask is as wide as a multiple of this."""
CACHES: dict[str, type[np.generic]] = {
    "tensor(int8)": np.int8,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
"""What keys and values are in, by the types of a graph's inputs."""
MIXED_KEPT = 4
"""Of what rows of several adapters are bound to: it changes with who is answered."""
POSITIONS_MAX = 16
"""Logits of one text that can be asked for at once."""

Ids = NDArray[np.int64]


class Stopped(Exception):
    """A run was stopped in its middle."""


def runtime() -> ModuleType:
    """onnxruntime, which sends nothing to its makers; imported where it is first needed."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: the wheels phone home otherwise
    import onnxruntime

    return onnxruntime  # type: ignore[no-any-return]  # it is published without annotations


class Graph:
    """The bundle's decoder.

    slots: texts that can be remembered at once. packed: a folder for packed weights, None for none.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int,
        slots: int,
        packed: Path | None = None,
        spin_microseconds: int = SPIN_MICROSECONDS,
    ) -> None:
        self._ort, self._threads, self._spin = runtime(), budget.threads(threads), str(spin_microseconds)
        manifest = bundle.manifest
        self._own = manifest.decoder
        os.environ["ORT_GQA_DISABLE_FLASH_ATTENTION"] = str(int(manifest.context_length <= WHOLE_SCORES_TOKENS))
        try:
            self._sessions = self._opened(bundle, packed)
        except Exception as error:  # a tree of its own that has no common root
            raise BundleError(f"onnxruntime cannot load {bundle.path}: {error}") from error
        first = self._sessions[self._own]
        inputs = {each.name: each for each in first.get_inputs()}
        self._ports = Ports.of(first)
        self._embedding = self._session_over(bundle.path / EMBEDDING, {}, None) if EMBEDS in inputs else None
        keys = inputs["past_key_values.0.key"]
        dtype = np.dtype(CACHES[keys.type])
        layers = sum(name.endswith(".key") for name in inputs)
        size = keys.shape[3]
        if not isinstance(size, int):  # graphs of others do not say
            size = manifest.kv_bytes_per_token // (2 * layers * keys.shape[1] * dtype.itemsize)
        self.caches = Caches(layers, slots, keys.shape[1], manifest.context_length + ODD_TOKENS, size, dtype)
        self.vocabulary = next(int(each.shape[2]) for each in first.get_outputs() if each.name == "logits")
        optional = {each.name for each in first.get_overridable_initializers()}
        self.can_tell_more, self._reads_apart = self._ports.gives != "last", IS_PREFILL in optional
        self._switch, self._context = manifest.rope_switch_length, manifest.context_length
        self._bindings: dict[tuple[int, int, bool, str], Binding] = {}
        self._adapters = open_adapters(bundle)
        self._graphs = {each.name: each.graph for each in manifest.adapters}
        several = self._sessions.get(TOGETHER_GRAPH)
        taken = several.get_overridable_initializers() if several else []
        self._together = Together(self._adapters, [each.name for each in taken])
        self._mixed: dict[tuple[int, tuple[str, ...]], tuple[Binding, Any]] = {}
        self._numbers = np.arange(max(self.caches.length, self._switch + 1) + MASK_TOKENS)
        self._room = Room(max(slots, POSITIONS_MAX), self.vocabulary)

    @property
    def version(self) -> str:
        """Of onnxruntime."""
        return str(self._ort.__version__)

    def _opened(self, bundle: Bundle, packed: Path | None) -> dict[str, Any]:
        """Sessions by their graphs: for rows without an adapter, of several, and for those with one.

        One for all where memory would be taken twice; else all are over one file, whose pages they share.
        """
        names = _graphs_of(bundle.manifest)
        graphs = [bundle.path / name for name in names]
        if packed is None:
            sessions = [self._session_over(graphs[-1], {}, None)]
        else:
            name, opened = name_of(bundle.digest, self.version), self._beside if names[1:] else self._session_over
            sessions = open_packed(graphs, bundle.manifest.weights_bytes, packed, name, opened)
        if len(sessions) == len(names):
            return dict(zip(names, sessions, strict=True))
        return dict.fromkeys((self._own, ADAPTER_GRAPH), sessions[-1])

    def _beside(self, path: Path, entries: dict[str, str], written: Path | None) -> Any:
        """A session whose threads sleep as soon as its run ends: those of the other one are to have the processor."""
        return self._session_over(path, {"session.force_spinning_stop": "1", **entries}, written)

    def _session_over(self, path: Path, entries: dict[str, str], written: Path | None) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        options.add_session_config_entry("session.intra_op.spin_duration_us", self._spin)
        for name, value in entries.items():
            options.add_session_config_entry(name, value)
        if written is not None:
            options.optimized_model_filepath = str(written)
        return self._ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])

    def is_long(self, tokens: int) -> bool:
        """Whether a text of so many tokens has the long rotary factors."""
        return 0 < self._switch < tokens

    def tokens_until_switch(self, tokens: int) -> int:
        """How many more a text of so many can have with the factors it has."""
        return max(0, self._switch - tokens) if 0 < tokens <= self._switch else self.caches.length

    def reckons_one_otherwise(self, adapter: str = "") -> bool:
        """Whether this processor's kernels sum one row in another order than several.

        Those of an adapter's float matrices have a way of their own for one row. Whether the bundle's do, as those of
        AVX2, is found by two runs over the first slot, which nobody may use yet.
        """
        if adapter:
            return True
        nothing = np.zeros(1, np.int64)
        alone = self.run(0, np.ones((1, 1), np.int64), nothing)[0, 0].copy()
        beside = self.run(0, np.ones((1, 2), np.int64), nothing, 2)[0, 0]
        return not np.array_equal(alone, beside)

    def halt(self) -> Any:
        """A handle for one run; setting its `terminate`, from any thread, ends that run."""
        return self._ort.RunOptions()

    def run(
        self,
        slot: int,
        ids: Ids,
        seen: NDArray[np.int64],
        positions: int = 1,
        is_long: bool = False,
        halt: Any = None,
        features: NDArray[np.float32] | None = None,
        is_prefill: bool = False,
        adapter: str | tuple[str, ...] = "",
    ) -> Logits:
        """Logits `[rows, positions, vocabulary]` of the last positions of `ids` `[rows, tokens]`.

        Rows lie in the slots from `slot` on; `seen` of each `[rows]` are in its cache already. Several rows must
        have one token each, which is the operator's own limit. The next run writes over what this one returns.
        features: what stands in the places of ids below zero, in their order. is_prefill: whether this is a slice of
        one row's prompt. adapter: of all rows, empty for none; or of each, where `takes_together` says so. Raises
        Stopped where its halt was used.
        """
        rows, count = ids.shape
        if isinstance(adapter, tuple):
            binding = self._mixed_binding(slot, adapter)
        else:
            binding = self._binding(slot, rows, is_prefill and self._reads_apart, adapter)
        ends = seen + count
        width = self._width(int(ends.max()), is_long)
        logits = binding.shaped(count, width, positions)
        binding.tokens[:] = ids if self._embedding is None else self._embedded(ids, features)
        if self._ports.reads_places:
            binding.places[:] = seen[:, None] + self._numbers[:count]
        np.less(self._numbers[:width], ends[:, None], out=binding.mask, casting="unsafe")
        with stopped_by(halt):
            self._session_of(adapter).run_with_iobinding(binding.io, halt)
        binding.settle(int(seen[0]))
        return logits

    def takes_together(self, adapters: Collection[str]) -> bool:
        """Whether rows of these adapters can have one run; an empty name is none."""
        return TOGETHER_GRAPH in self._sessions and self._together.takes(adapters)

    def _session_of(self, adapter: str | tuple[str, ...]) -> Any:
        if isinstance(adapter, tuple):
            return self._sessions[TOGETHER_GRAPH]
        if not adapter:
            return self._sessions[self._own]
        return self._sessions.get(self._graphs[adapter]) or self._sessions[ADAPTER_GRAPH]

    def _embedded(self, ids: Ids, features: NDArray[np.float32] | None) -> NDArray[np.float32]:
        if features is None:
            features = np.zeros((0, self._ports.width), np.float32)
        feeds = {"input_ids": ids, "image_features": features}
        assert self._embedding
        made: NDArray[np.float32] = self._embedding.run([EMBEDS], feeds)[0]
        return made

    def tower(self, bundle: Bundle) -> Tower:
        """The bundle's picture tower, beside this decoder."""
        return Tower(lambda: self._session_over(bundle.path / VISION, {}, None))

    def _width(self, tokens: int, is_long: bool) -> int:
        """Of the attention mask: with room, so that it changes seldom, but on its own side of the switch.

        Never beyond the context, for which there are rotary angles.
        """
        wide = min(-(-tokens // MASK_TOKENS) * MASK_TOKENS, self._context)
        if not self._switch:
            return wide
        return max(wide, self._switch + 1) if is_long else min(wide, self._switch)

    def _binding(self, slot: int, rows: int, is_prefill: bool, adapter: str) -> Binding:
        """Past and present of some neighbouring slots bound to their caches, once."""
        key = (slot, rows, is_prefill, adapter)
        if key not in self._bindings:
            kind = PrefillBinding if is_prefill else Binding
            slots = self.caches.array[:, :, slot : slot + rows]
            io = self._session_of(adapter).io_binding()
            made = kind(io, slots, self._room, self._ports)
            made.feed(self._adapters[adapter] if adapter else {})
            self._bindings[key] = made
        return self._bindings[key]

    def _mixed_binding(self, slot: int, adapters: tuple[str, ...]) -> Binding:
        """The same for rows of several adapters; a few are kept, over one set of matrices."""
        if self._together.begin(adapters) or len(self._mixed) >= MIXED_KEPT:
            self._mixed.clear()
        if (slot, adapters) not in self._mixed:
            slots = self.caches.array[:, :, slot : slot + len(adapters)]
            io, feeds = self._sessions[TOGETHER_GRAPH].io_binding(), self._together.feeds(adapters)
            made = Binding(io, slots, self._room, self._ports)
            made.feed(feeds)
            self._mixed[slot, adapters] = made, feeds  # which the runtime looks into as long as they are bound
        return self._mixed[slot, adapters][0]


class Encoder:
    """A bundle's embedding model. threads: for one run, 0 for every core; they sleep where there is nothing to do."""

    def __init__(self, path: Path, threads: int) -> None:
        ort = runtime()
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = budget.threads(threads)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the decoder's need the cores
        options.enable_mem_pattern = False  # one would be kept for every length of a text
        try:
            self._session = ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        except Exception as error:  # a tree of its own that has no common root
            raise BundleError(f"onnxruntime cannot load {path}: {error}") from error

    def run(self, ids: Ids, mask: Ids) -> NDArray[np.float32]:
        """Vectors `[texts, dimensions]` of token ids `[texts, tokens]`; the mask, as wide, is 0 behind a text's end."""
        made: NDArray[np.float32] = self._session.run(["sentences"], {"input_ids": ids, "attention_mask": mask})[0]
        return made


class Tower:
    """A bundle's picture tower, in memory while it is used. opened: makes its session."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._opened = opened
        self._session: Any = None

    def run(self, crop: NDArray[np.float32], halt: Any = None) -> NDArray[np.float32]:
        """A crop `[3, size, size]` as a picture without any: `[1 + side * (side + 1), width]`, the separator first.

        Raises Stopped where its halt was used.
        """
        if self._session is None:
            self._session = self._opened()
        feeds = {"pixel_values": crop[None, None], "image_sizes": np.zeros((1, 2), np.int64)}
        with stopped_by(halt):
            made: NDArray[np.float32] = self._session.run(["image_features"], feeds, halt)[0]
        return made

    def release(self) -> None:
        """Give its memory back; the next picture loads it again."""
        self._session = None


def _graphs_of(manifest: Manifest) -> list[str]:
    """The decoder's graphs, the bundle's own first and last the one that can do what all others do."""
    own = sorted({each.graph for each in manifest.adapters} - {ADAPTER_GRAPH})
    return [name for name in (manifest.decoder, TOGETHER_GRAPH, *own, ADAPTER_GRAPH) if name in manifest.files]


@contextmanager
def stopped_by(halt: Any) -> Iterator[None]:
    """A run; Stopped where its halt was used, whatever the runtime calls that."""
    try:
        yield
    except Exception as error:
        if halt is not None and halt.terminate:
            raise Stopped from error
        raise
