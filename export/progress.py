"""How far the export is, on standard error: one line that moves in a terminal, a line a tenth elsewhere."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from types import TracebackType

from tqdm import tqdm

Report = Callable[[str, int, int, str], None]
"""Called with the stage's name, the steps done, the steps there are, and what is worked at."""


class Progress:
    """A bar a stage, with the time left and the most memory taken so far; used with `with`."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._stage = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def report(self, stage: str, done: int, total: int, now: str) -> None:
        """The stage is `done` steps of `total` far and works at `now`."""
        if self._bar is None or stage != self._stage:
            self.__exit__(None, None, None)
            quiet = not sys.stderr.isatty()
            self._bar = tqdm(total=total, desc=stage, unit="step", mininterval=5 if quiet else 0.2, leave=True)
            self._stage = stage
        self._bar.set_postfix_str(", ".join(filter(None, (now, f"peak {peak_mebibytes()} MiB"))), refresh=False)
        self._bar.update(done - self._bar.n)


def peak_mebibytes() -> int:
    """The most memory that this process, or a child that has ended, has held."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) >> 10
