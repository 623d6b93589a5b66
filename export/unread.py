"""Tensors that no export reads: each is known to change nothing, or the checkpoint is refused by the tensor's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

import numpy as np

from export.errors import UnsupportedError
from export.families.base import EMBEDDING, HEAD, Dimensions
from export.source import Source
from export.vision import LAYERS, PREFIX, TOWER, TowerSizes

NAMED = 4
"""So many of the tensors are named in a refusal."""
Same = Callable[[Source, str, Dimensions], bool]


def check_all_read(source: Source, read: Collection[str], sizes: Dimensions, tower: TowerSizes | None = None) -> None:
    """Every tensor of the source is read or changes nothing. Raises UnsupportedError, naming those that are not."""
    unread = sorted(source.tensor_names() - set(read))
    odd = [name for name in unread if not (_is_idle(name, tower) or _is_same(source, name, sizes))]
    if odd:
        more = f" and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
        raise UnsupportedError(
            f"{source.path} has tensors that nothing here reads, so that a bundle would be another model:"
            f" {', '.join(odd[:NAMED])}{more}"
        )


def _is_idle(name: str, tower: TowerSizes | None) -> bool:
    """What a picture tower has and nobody looks at: its last layer, the norm after it, the numbers of its places."""
    if tower is None:
        return False
    idle = (f"{LAYERS}{tower.num_layers}.", f"{TOWER}post_layernorm.", f"{TOWER}embeddings.position_ids")
    return name.startswith(idle)


def _is_same(source: Source, name: str, sizes: Dimensions) -> bool:
    """Whether a tensor says again what is known."""
    return any(pattern.fullmatch(name) and same(source, name, sizes) for pattern, same in SAME.items())


def _are_frequencies(source: Source, name: str, sizes: Dimensions) -> bool:
    """Old checkpoints keep the rotary frequencies, which Transformers computes anew; some keep them in bfloat16."""
    kept, computed = source.tensor(name), np.array(sizes.rope.frequencies)
    return kept.shape == computed.shape and bool(np.allclose(kept, computed, rtol=1e-2, atol=0))


def _is_embedding(source: Source, name: str, sizes: Dimensions) -> bool:
    """A head beside the embedding that it is tied to: Transformers 4 drops it, and 5 uses it where it differs."""
    if not sizes.tied_embeddings and name == HEAD:
        return False
    there, wanted = source.shape(name), (sizes.vocab_size, sizes.hidden_size)
    return there == wanted and bool((source.tensor(name) == source.tensor(EMBEDDING)).all())


SAME: dict[re.Pattern[str], Same] = {
    re.compile(r"model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq"): _are_frequencies,
    re.compile(rf"{re.escape(HEAD)}|{re.escape(PREFIX)}wte\.weight"): _is_embedding,
}
"""What may be there twice, with what must be true of it then."""
