"""The quantiser's promises: the layout, the bounds, and that looking at the inputs pays."""

from __future__ import annotations

import numpy as np
import pytest

from export.quantize import Format, error_spread, gptq, round_to_nearest

FORMATS = [Format(bits, block, symmetric) for bits in (4, 8) for block in (16, 32) for symmetric in (True, False)]


def weights(rows: int = 24, columns: int = 100) -> np.ndarray:
    """Seeded; the last block is not full."""
    return np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_rounding_errs_by_a_step_at_most(form):
    """Every weight is within one step of its block's grid, and the shape comes back."""
    weight = weights()
    made = round_to_nearest(weight, form)
    assert made.dequantized().shape == weight.shape
    step = np.repeat(np.abs(made.scales), form.block_size, axis=1)[:, : weight.shape[1]]
    assert (np.abs(made.dequantized() - weight) <= step * 1.01).all()


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_what_is_written_has_the_operators_layout(form):
    """Low nibble first; zero points packed the same way; the size as foretold."""
    made = round_to_nearest(weights(), form)
    packed, points = made.packed(), made.packed_points()
    if form.bits == 4:
        assert ((packed & 15) == made.codes[..., ::2]).all()
        assert ((packed >> 4) == made.codes[..., 1::2]).all()
    assert (points is None) == form.is_symmetric
    size = packed.nbytes + made.scales.nbytes + (0 if points is None else points.nbytes)
    assert size == form.bytes_of(24, 100)


def test_zeros_stay_zeros():
    """A block without a weight has no step to divide by."""
    assert not round_to_nearest(np.zeros((4, 64), np.float32), Format()).dequantized().any()


def test_gptq_changes_the_output_less():
    """Over correlated inputs the layer's output error is well below rounding's, in the same format."""
    chance = np.random.default_rng(1)
    inputs = (chance.standard_normal((512, 16)) @ chance.standard_normal((16, 128))).astype(np.float32)
    inputs += 0.1 * chance.standard_normal(inputs.shape).astype(np.float32)
    weight, form = weights(48, 128), Format(4, 32, False)
    spread = error_spread(inputs.T @ inputs / len(inputs), form.block_size)
    errors = [
        np.square(inputs @ (made.dequantized() - weight).T).mean()
        for made in (gptq(weight, spread, form), round_to_nearest(weight, form))
    ]
    assert errors[0] < 0.6 * errors[1]
