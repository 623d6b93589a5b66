"""A row that is alone, run by the sums of several, where the processor's kernels sum one row in another order."""

from __future__ import annotations

import numpy as np

from edge.engine.batch.decoder import Decoder
from edge.engine.batch.row import Row
from edge.engine.graph.io_binding import Logits


def run_as_pair(graph: Decoder, row: Row) -> Logits:
    """Logits `[1, vocabulary]` after the last token of a row, which is in its cache then.

    What a seed repeats is not to hang on who else is answered (decision 30). Beside it goes a token that is not looked
    at, and is written over by the next one; the one before it, where that would be the first behind the switch of the
    rotary factors, where all is read anew.
    """
    has_room = graph.tokens_until_switch(len(row.tokens)) > 0
    tokens = [row.tokens[-1]] * 2 if has_room else row.tokens[-2:]
    first = 0 if has_room else 1
    seen = np.array([row.seen - first], np.int64)
    logits = graph.run(row.slot, np.array([tokens], np.int64), seen, 2, row.is_long, adapter=row.job.adapter)
    row.seen += 1
    return logits[:, first]
