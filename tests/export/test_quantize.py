"""The quantiser's promises: the layout, the bounds, and that looking at the inputs pays."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from export.quantize import METHODS, Format, Moments, quantize, round_to_nearest
from export.quantize.descent import descend
from export.quantize.feedback import upper_by_blocks

GPTQ_ALONE = replace(METHODS["gptq"], descends=False)
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


def correlated(rows: int, columns: int, seed: int = 1) -> np.ndarray:
    """Inputs of which a few directions carry most, as a language model's do."""
    chance = np.random.default_rng(seed)
    inputs = chance.standard_normal((rows, 16)) @ chance.standard_normal((16, columns))
    return (inputs + 0.1 * chance.standard_normal((rows, columns))).astype(np.float32)


def seen(inputs: np.ndarray, lacking: np.ndarray | None = None) -> Moments:
    """The moments of a text in four pieces, and what the outputs lack over it."""
    moments = Moments(inputs.shape[1])
    lacks = [None] * 4 if lacking is None else np.split(lacking.astype(np.float32), 4)
    for read, lack in zip(np.split(inputs, 4), lacks, strict=True):
        moments.add(read, lack)
    return moments


def corrected(inputs: np.ndarray, lacking: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The weights `[N, K]` after a step towards what is lacking."""
    moments = seen(inputs, lacking)
    return moments.corrected(weight.T, moments.feedback()).T


@pytest.mark.parametrize("width", [100, 600])
def test_solving_with_the_factors(width):
    """In one block of rows and in several, H times what comes out is what was given."""
    feedback = seen(correlated(512, width)).feedback()
    right = weights(width, 7)
    damped = feedback.upper * feedback.pivots @ feedback.upper.T
    np.testing.assert_allclose(damped @ feedback.solve(right), right, atol=1e-2 * np.abs(right).max())


@pytest.mark.parametrize("rows", [64, 100, 301, 512])
def test_a_factor_by_blocks_is_lapacks(rows):
    """The upper one, with nothing below the diagonal, for blocks that do and do not divide the width."""
    inputs = correlated(400, 301).astype(np.float64)
    moments = inputs.T @ inputs + np.eye(301)
    wanted = np.linalg.cholesky(moments[::-1, ::-1])[::-1, ::-1]
    np.testing.assert_allclose(upper_by_blocks(moments.copy(), rows), wanted, atol=1e-9)


@pytest.mark.slow
def test_inputs_as_wide_as_phi_3_mediums_are_factored():
    """17,920 of them, beyond where NumPy's own factorisation crashes; in memory of its own, since it takes 4 GB."""
    code = """
import numpy as np
from export.quantize import Moments
inputs = np.random.default_rng(0).standard_normal((64, 17920), np.float32)
moments = Moments(17920)
moments.add(inputs)
diagonal = np.diag(moments.products).mean()
made = moments.feedback(keeps=False)
part = (made.upper[:64] * made.pivots) @ made.upper[:64].T
wanted = inputs[:, :64].T @ inputs[:, :64] + 0.01 * diagonal * np.eye(64)
assert np.abs(part - wanted).max() < 1e-4 * np.abs(wanted).max()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", [Format(4, 32, True), Format(4, 32, False)], ids=["symmetric", "asymmetric"])
def test_every_method_beats_or_equals_rounding_by_its_own_measure(method, form):
    """On weights with outliers: weighted by the inputs for those that see them, plainly or by few errors for others."""
    inputs, weight = correlated(512, 128), weights(48, 128)
    weight[::7, ::11] *= 4
    feedback = seen(inputs).feedback() if METHODS[method].is_calibrated else None
    made = quantize(weight.T, form, METHODS[method], feedback).dequantized()
    plain = round_to_nearest(weight, form).dequantized()
    errors = [(each - weight).astype(np.float64) for each in (made, plain)]
    if METHODS[method].is_calibrated:
        errors = [error @ inputs.T for error in errors]
    power = 2.0 if method != "hqq" else 0.7
    measured = [np.power(np.abs(error), power).mean() for error in errors]
    assert measured[0] <= measured[1] * (1.001 if method == "rtn" else 1.02)


@pytest.mark.parametrize("columns", [100, 128])
def test_gptq_changes_the_output_less(columns):
    """Over correlated inputs the layer's output error is well below rounding's, in the same format."""
    inputs = correlated(512, columns)
    weight, form = weights(48, columns), Format(4, 32, False)
    fed = quantize(weight.T, form, METHODS["gptq"], seen(inputs).feedback())
    errors = [
        np.square(inputs @ (made.dequantized() - weight).T).mean() for made in (fed, round_to_nearest(weight, form))
    ]
    assert errors[0] < 0.6 * errors[1]


def test_the_feedback_is_gptqs():
    """Both formulations of the algorithm round to the same codes: U of H = U D Uᵀ, and Cholesky of the inverse.

    The inverse's way is GPTQ's algorithm 1, written out here a column at a time.
    """
    inputs, weight, form = correlated(512, 64), weights(16, 64), Format(4, 64, True)
    moments = seen(inputs)
    made = quantize(weight.T, form, GPTQ_ALONE, moments.feedback())
    damped = moments.products.astype(np.float64) + np.eye(64) * 0.01 * np.mean(np.diag(moments.products))
    spread = np.linalg.cholesky(np.linalg.inv(damped)).T
    left = weight.astype(np.float64).T.copy()
    for column in range(64):
        codes = np.clip(np.rint(left[column] / made.scales[:, 0]) + 8, 0, 15)
        error = (left[column] - (codes - 8) * made.scales[:, 0]) / spread[column, column]
        left[column + 1 :] -= np.outer(spread[column, column + 1 :], error)
        assert (codes == made.codes[:, 0, column]).mean() > 0.99


def damped_moments(feedback) -> np.ndarray:
    """H, of its factors."""
    return (feedback.upper * feedback.pivots @ feedback.upper.T).astype(np.float64)


def output_error(weight: np.ndarray, found: np.ndarray, moments: np.ndarray) -> float:
    """tr(E H Eᵀ), weights `[N, K]`."""
    error = (weight - found).astype(np.float64)
    return float(np.einsum("nk,kl,nl->", error, moments, error))


@pytest.mark.parametrize("form", [each for each in FORMATS if each.bits == 4], ids=str)
def test_a_sweep_never_errs_more(form):
    """From GPTQ's codes on, in blocks that are not full, too; and what three of them gain is worth having."""
    weight, feedback = weights(48, 100), seen(correlated(512, 100)).feedback()
    made, moments = quantize(weight.T, form, GPTQ_ALONE, feedback), damped_moments(feedback)
    errors = [output_error(weight, made.dequantized(), moments)]
    for _ in range(3):
        descend(weight.T, made, feedback, 1)
        assert made.codes.max() <= form.top
        errors.append(output_error(weight, made.dequantized(), moments))
    assert all(after <= before * 1.0001 for before, after in itertools.pairwise(errors))
    assert errors[-1] < 0.9 * errors[0]


def test_where_it_ends_no_single_step_is_better():
    """Tried by hand: every code of a small matrix one up and one down, and every scale a little."""
    weight, form = weights(3, 32), Format(4, 16, False)
    feedback = seen(correlated(256, 32)).feedback()
    moments = damped_moments(feedback)
    made = quantize(weight.T, form, GPTQ_ALONE, feedback)
    descend(weight.T, made, feedback, 50)
    least = output_error(weight, made.dequantized(), moments)
    for place in np.ndindex(made.codes.shape):
        for step in (-1, 1):
            if 0 <= int(made.codes[place]) + step <= form.top:
                codes = made.codes.copy()
                codes[place] = int(codes[place]) + step
                assert output_error(weight, replace(made, codes=codes).dequantized(), moments) >= least * 0.9999
    for place in np.ndindex(made.scales.shape):
        for change in (0.999, 1.001):
            scales = made.scales.copy()
            scales[place] *= np.float32(change)
            assert output_error(weight, replace(made, scales=scales).dequantized(), moments) >= least * 0.9999


def test_drift_is_made_good():
    """Where the layers before have changed what is read, corrected weights give more of what was wanted."""
    inputs = correlated(2048, 64)
    chance = np.random.default_rng(3)
    drifted = inputs @ (np.eye(64) + 0.05 * chance.standard_normal((64, 64))).astype(np.float32)
    weight = weights(48, 64)
    nearer = corrected(drifted, (inputs - drifted) @ weight.T, weight)
    errors = [np.square(drifted @ used.T - inputs @ weight.T).mean() for used in (nearer, weight)]
    assert errors[0] < 0.5 * errors[1]


def test_a_residual_that_drifted_is_made_good():
    """A matrix whose product is added to something takes part of that one's error back."""
    inputs = correlated(2048, 64)
    drift = inputs @ weights(64, 64) * np.float32(0.1)
    weight = weights(64, 64)
    nearer = corrected(inputs, drift, weight)
    assert np.square(inputs @ (nearer - weight).T - drift).mean() < 0.5 * np.square(drift).mean()


def test_a_step_that_holds_for_no_other_text_is_not_taken():
    """Where the drift is noise, what fits one half of the texts is wrong on the other, and the weights stay."""
    chance = np.random.default_rng(4)
    inputs = chance.standard_normal((128, 64)).astype(np.float32)
    wanted = inputs + chance.standard_normal(inputs.shape).astype(np.float32)
    weight = weights(48, 64)
    changed = corrected(inputs, (wanted - inputs) @ weight.T, weight) - weight
    assert np.square(changed).mean() < 0.05 * np.square(weight).mean()
