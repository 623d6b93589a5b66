"""Hours of boards on paper: as cool as promised, as fast as without where there is headroom, no back and forth."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from edge.governor import Decision, Inputs
from edge.governor.heat import DWELL_SECONDS
from tests.thermal_model import (
    BARE,
    BOARDS,
    COOLER,
    PASSIVE,
    Board,
    Work,
    always,
    balance,
    fixed,
    governed,
    nothing,
    run,
)

CORNERS = [(0.75, 0.7, 35), (1.25, 0.7, 15), (1.25, 1.3, 22), (1.25, 1.3, 35)]
HOT, COLD = [BARE, "jetson-orin-nano-no-fan"], [COOLER, PASSIVE, "jetson-orin-nano"]


def bursts(on: int, off: int) -> Work:
    """Work and rest in turns."""
    return lambda second: second % (on + off) < on


def by_chance(seed: int) -> Work:
    """Answers of up to a minute and a half, pauses of up to one."""
    chance, seconds = random.Random(seed), []
    while len(seconds) < 3600:
        seconds += [True] * chance.randint(1, 90) + [False] * chance.randint(1, 60)
    return seconds.__getitem__


WORK = {"on and off": bursts(20, 10), "minutes": bursts(120, 60), "long": bursts(600, 300), "by chance": by_chance(3)}


def limit(board: Board) -> float:
    """Where it slows itself."""
    return board.trip or 80


def test_a_bare_pi_with_clocks_loses_next_to_nothing_and_stays_below_80():
    """An hour at 22 °C: within 3 % of the tokens of no governor, which is above 80 °C for most of it."""
    board = BOARDS[BARE]
    free, ours = run(board, nothing), run(board, governed(board))
    assert free.seconds_above(80) > 3000
    assert ours.seconds_above(80) == 0
    assert ours.tokens >= 0.97 * free.tokens


def test_pauses_alone_do_what_the_power_balance_allows():
    """They shed power one for one with tokens: no duty gives more and stays at 77 °C, and ours gives no less."""
    board = BOARDS[BARE]
    ours = run(board, governed(board, with_clock=False))
    assert ours.seconds_above(80) == 0
    assert ours.tokens >= balance(board, 77) * 3600


@pytest.mark.parametrize("name", COLD)
@pytest.mark.parametrize("with_clock", [True, False])
def test_a_board_with_headroom_runs_as_without(name: str, with_clock: bool):
    """Second by second the same schedule and the same heat, to the bit; every decision is the neutral one."""
    board = BOARDS[name]
    free, ours = run(board, nothing), run(board, governed(board, with_clock))
    assert ours.schedule() == free.schedule()
    assert ours.celsius == free.celsius
    assert all(each.is_neutral for each in ours.decisions)


@pytest.mark.parametrize("name", HOT)
@pytest.mark.parametrize("corner", CORNERS, ids=str)
@pytest.mark.parametrize("with_clock", [True, False])
def test_boards_that_are_not_as_believed(name: str, corner: tuple[float, float, float], with_clock: bool):
    """A quarter more or less resistance, a third slower or faster, a hot room: never too hot, no back and forth."""
    board = BOARDS[name].bent(*corner)
    ours = run(board, governed(board, with_clock), seed=11)
    assert ours.seconds_above(limit(board)) == 0
    assert [each for each in ours.turns() if each < DWELL_SECONDS] == []


@pytest.mark.parametrize("work", WORK.values(), ids=list(WORK))
@pytest.mark.parametrize("name", HOT)
def test_work_that_comes_and_goes(name: str, work: Work):
    """The rise at the beginning of each answer is counted in before it comes."""
    board = BOARDS[name]
    ours = run(board, governed(board), work=work, seed=5)
    assert ours.seconds_above(limit(board)) == 0
    assert [each for each in ours.turns() if each < DWELL_SECONDS] == []


@pytest.mark.parametrize("preset", [COOLER, PASSIVE, "raspberry-pi-4"])
@pytest.mark.parametrize("ambient", [22, 35])
def test_a_preset_of_another_case_is_borne(preset: str, ambient: float):
    """A bare board that is taken for a cooled one: the forecast is put right by what is read."""
    board = BOARDS[BARE].bent(1, 1, ambient)
    ours = run(board, governed(board, preset=preset))
    assert ours.seconds_above(80) == 0
    assert [each for each in ours.turns() if each < DWELL_SECONDS] == []


def test_a_coarse_sensor_is_borne():
    """Steps of 0.92 °C, as an RK3588's, a trip at 85 °C."""
    board = replace(BOARDS["jetson-orin-nano-no-fan"], step_celsius=0.92, trip=85)
    ours = run(board, governed(board, preset="rk3588"), noise=0.1)
    assert ours.seconds_above(85) == 0
    assert [each for each in ours.turns() if each < DWELL_SECONDS] == []


@pytest.mark.parametrize("ambient", [15, 25])
def test_a_sensor_that_is_read_once_a_minute_is_borne(ambient: float):
    """As a phone's battery by Termux:API: the skin stays below 43 °C, where without it would be at 45 and 48."""
    board, kept = BOARDS["phone"].bent(1, 1, ambient), [25.0]
    control = governed(board, with_clock=False)

    def held(inputs: Inputs) -> Decision:
        if inputs.seconds % 60 == 0:
            kept[0] = inputs.temperature_celsius or kept[0]
        return control(replace(inputs, temperature_celsius=kept[0]))

    assert max(run(board, nothing, seconds=7200).celsius) > 45
    ours = run(board, held, seconds=7200)
    assert ours.seconds_above(43) == 0
    assert [each for each in ours.turns() if each < DWELL_SECONDS] == []


@pytest.mark.parametrize("period", [5, 10])
def test_one_that_is_asked_seldom_still_keeps_the_board_cool(period: int):
    """Every ten seconds is late, but not too late."""
    board, last = BOARDS[BARE], [Decision()]
    control = governed(board)

    def seldom(inputs: Inputs) -> Decision:
        if inputs.seconds % period == 0:
            last[0] = control(inputs)
        return last[0]

    assert run(board, seldom).seconds_above(80) == 0


def test_no_fixed_duty_suits_every_room():
    """What is right at 22 °C is too hot at 35 and wastes a fifth of the tokens at 15; the governor does neither."""
    board = BOARDS[BARE]
    duty = balance(board, 77)
    assert run(board.bent(1, 1, 35), fixed(duty)).seconds_above(80) > 1000
    warm, cool = board.bent(1, 1, 35), board.bent(1, 1, 15)
    assert run(warm, governed(warm, with_clock=False)).seconds_above(80) == 0
    assert run(cool, governed(cool, with_clock=False)).tokens > 1.2 * run(cool, fixed(duty)).tokens


def test_a_sensor_that_dies_is_no_brake():
    """From then on the engine runs at full speed and the firmware holds the board, as without a governor."""
    board = BOARDS[BARE]
    control = governed(board)
    ours = run(
        board, lambda inputs: control(replace(inputs, temperature_celsius=None) if inputs.seconds > 600 else inputs)
    )
    assert ours.decisions[600].state == "slowed"
    assert {each.state for each in ours.decisions[620:]} == {"blind"}
    assert all(each.is_neutral for each in ours.decisions[620:])


def test_a_governor_that_wakes_up_above_the_limit_gets_below_it():
    """A Pi heeds no clock there, so that pauses must do it; then clocks are heeded again."""
    board = BOARDS[BARE]
    control = governed(board)
    ours = run(board, lambda inputs: nothing(inputs) if inputs.seconds < 1800 else control(inputs))
    assert ours.celsius[1799] > 80
    assert max(ours.celsius[1860:]) < 80


def test_the_model_is_the_published_one():
    """Idle about 50 °C, 65 after a minute, 71 after two, 80 after about four, 64 in a passive case (decision 39)."""
    free, passive = run(BOARDS[BARE], nothing), run(BOARDS[PASSIVE], nothing)
    assert free.celsius[60] == pytest.approx(65, abs=1.5)
    assert free.celsius[120] == pytest.approx(71, abs=1.5)
    assert next(second for second, each in enumerate(free.celsius) if each > 80) == pytest.approx(240, abs=40)
    assert passive.celsius[-1] == pytest.approx(64, abs=1)
    assert always(0)
    assert nothing(Inputs(0)).is_neutral


@pytest.mark.parametrize("ambient", [22, 35])
def test_clocks_that_nobody_sets_are_borne(ambient: float):
    """A cap that does not reach the processor: the board gets warmer than it should, and pauses do the rest in time."""
    board = BOARDS[BARE].bent(1, 1, ambient)
    control = governed(board)
    ours = run(board, lambda inputs: replace(control(inputs), clock_cap_hertz=None))
    assert ours.seconds_above(80) == 0
    assert ours.duties[-1] < 1
