"""What the engine needs of a bundle's graph, whatever that is made of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.engine.cache.caches import Caches
from edge.engine.graph.io_binding import Logits
from edge.engine.graph.session import Ids, Tower


class Decoder(Protocol):
    """edge.engine.graph.session.Graph for texts of any length, edge.engine.static.graph.FixedGraph for fixed shapes.

    caches: keys and values, a slot a text. vocabulary: how many logits a position has. can_tell_more: whether it gives
    those of several positions.
    """

    caches: Caches
    vocabulary: int
    can_tell_more: bool

    @property
    def version(self) -> str:
        """Of what runs it."""
        ...

    def is_long(self, tokens: int) -> bool:
        """Whether a text of so many tokens has the long rotary factors."""
        ...

    def tokens_until_switch(self, tokens: int) -> int:
        """How many more a text of so many can have with the factors it has."""
        ...

    def reckons_one_otherwise(self, adapter: str = "") -> bool:
        """Whether it sums one row in another order than several."""
        ...

    def halt(self) -> Any:
        """A handle for one run; setting its `terminate`, from any thread, ends that run."""
        ...

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
        """Logits `[rows, positions, vocabulary]` of the last positions of `ids` `[rows, tokens]`."""
        ...

    def takes_together(self, adapters: Collection[str]) -> bool:
        """Whether rows of these adapters can have one run; an empty name is none."""
        ...

    def tower(self, bundle: Bundle) -> Tower:
        """The bundle's picture tower."""
        ...
