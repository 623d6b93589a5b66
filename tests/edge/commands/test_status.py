"""`edge status`: a board in lines, as JSON and on a terminal as it changes, whatever the board and the terminal are."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edge.commands.logs import UNSEEN
from edge.commands.seen import BOARDS_MAX, BYTES_MAX, Boards
from edge.commands.status_lines import lines, wants_a_look
from edge.commands.status_live import COLUMNS, fitting, frame
from edge.wire.message import Message, dumps
from tests.conftest import ROOT, embedded_broker
from tests.edge.commands.program import Board, ended, in_terminal, shown_on, started
from tests.edge.commands.readings import INFO, quiet, reading

STEERS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What rich writes to a terminal, and nothing else (ECMA-48, CSI)."""
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """An embedded broker."""
    with embedded_broker(tmp_path_factory.mktemp("broker")) as port:
        yield port


@pytest.fixture
def board(port: int) -> Iterator[Board]:
    """A board that says what a test has it say, and what it is."""
    with Board(port) as board:
        board.info(**INFO)
        yield board


@contextmanager
def telling(board: Board, **changed: Any) -> Iterator[None]:
    """A reading that stays, so that it is there for whoever comes."""
    board.user.publish("edge/odd/telemetry", reading(**changed), retain=True)
    yield
    board.user.publish("edge/odd/telemetry", b"", retain=True)


# --- in lines ---


def found(telemetry: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A board that has told everything."""
    return {"device": "pi", "status": {"state": "online"}, "info": INFO, "telemetry": telemetry, **more}


def test_every_line_has_what_the_reading_has():
    """Numbers with their units, what slows it with its reason, what cannot be read."""
    told = dict(lines(found(reading())))
    assert told == {
        "board": "pi is online",
        "machine": "Raspberry Pi 5 Model B Rev 1.0",
        "model": "smollm2 on the cpu provider; a question and its answer have 2048 tokens together, about 1500 words",
        "bundle": "version 6 (000000000000); kept",
        "heat": "81.2 °C; most boards slow down at 80 to 85; pwmfan: 1518 turns a minute, 29 % of full power",
        "memory": "6.0 of 8.0 GiB free; 0.5 GiB of swap in use; waited for 12 % of the last ten seconds",
        "processor": "66 % busy; asked for 1.50 GHz of 2.40 GHz, held to 1.80 GHz",
        "throttling": "throttled; since the start: too little voltage",
        "power": "5.6 W (SoC rails); supply 5.07 V; mode MAXN",
        "gpu": "ga10b: 37 % busy, at 0.62 GHz",
        "battery": "80 %, discharging, 30.0 °C",
        "queue": "3 of 8 answers grow now, 2 of 16 places wait",
        "speed": "an answer grows by 109.8 tokens a second, about 82 words; read at 964; 0.26 joules a token",
        "answers": "3 given since the start; others: 1 × 503",
        "governor": "slowed: it would be too hot; works 70 % of the time; clock held to 1.80 GHz; 3 threads;"
        " memory: short only; 81 °C in 30 s, 77 are allowed",
        "sensors": "denied: gpu; `edge doctor` says why",
    }
    assert {name for name in told if wants_a_look(name, found(reading()))} == {
        *("heat", "memory", "throttling", "governor", "sensors")
    }


def test_a_bundle_that_was_not_kept_wants_a_look():
    """With the reason; one that is on its way is said, and wants none."""
    known = {"name": "smollm2", "version": "6", "digest": None}
    bad = found(quiet() | {"bundle": {**known, "state": "rolled_back", "reason": "it was too slow"}})
    assert dict(lines(bad))["bundle"] == "version 6; another one was not kept: it was too slow"
    assert wants_a_look("bundle", bad)
    tried = found(quiet() | {"bundle": {**known, "state": "trying", "reason": ""}})
    assert dict(lines(tried))["bundle"] == "version 6; another one is tried"
    assert not wants_a_look("bundle", tried)


def test_a_board_without_its_model_is_well():
    """An unloaded one answers whoever asks: it says what the asker waits for, and wants no look."""
    unloaded = found(quiet(), status={"state": "unloaded"})
    assert dict(lines(unloaded))["board"] == "pi is unloaded; it loads its model when it is asked"
    assert not wants_a_look("board", unloaded)
    assert wants_a_look("board", found(quiet(), status={"state": "loading"}))


def test_a_board_that_keeps_people_out_for_memory_wants_a_look():
    """Its governor's state is `free`, since the engine is not slowed down, and somebody is refused all the same."""
    kept_out = quiet()
    assert not wants_a_look("governor", found(kept_out))
    kept_out["governor"].update(memory="refuse", reason="4 % of memory are available")
    assert wants_a_look("governor", found(kept_out))


def test_a_board_without_sensors_has_nothing_made_up():
    """No zero stands for what is not known, and nothing wants a look."""
    told = dict(lines(found(quiet())))
    assert set(told) == {"board", "model", "bundle", "heat", "queue", "speed", "answers", "governor"}
    assert told["heat"] == "no temperature sensor"
    assert not [name for name in told if wants_a_look(name, found(quiet()))]


def test_what_is_not_known_is_said_so():
    """Null is not zero: of temperature, processor, power, throttling, battery, a fan."""
    nothing = dict.fromkeys(("under_voltage", "clock_capped", "throttled", "soft_temperature_limit"))
    unknown = reading()
    unknown["thermal"]["trips"]["x"] = [{"type": "hot", "celsius": 99.0}, {"type": "passive", "celsius": 95.0}]
    assert dict(lines(found(unknown)))["heat"].startswith("81.2 °C; this one slows down at 95; ")
    assert not wants_a_look("heat", found(unknown))
    unknown["thermal"].update(hottest_celsius=None, fans={"pwmfan": {"rpm": None, "duty_percent": None}})
    unknown["throttling"].update(now=nothing, since_start=nothing)
    unknown["power"].update(watts=None, supply_volts=None, mode=None)
    unknown["battery"].update(level_percent=None, status=None, celsius=None)
    unknown["cpu"].update(used_percent=None, each=[])
    unknown["memory"].update(available_bytes=None, swap_used_bytes=None, pressure_percent=None)
    told = dict(lines(found(unknown)))
    assert told["heat"] == "its sensors give no number now"
    assert told["throttling"] == "nothing tells whether it slows itself down"
    assert told["power"] == "nothing tells what it takes"
    assert told["battery"] == "level not known"
    assert told["processor"] == "nothing tells how busy it is"
    assert told["memory"] == "nothing tells how much is free"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_whatever_a_board_says_is_shown_on_a_line_each(data):
    """Any JSON in any place of a reading: no error, no end of a line, nothing that steers a terminal or never ends."""
    body = reading()
    for name in data.draw(st.lists(st.sampled_from(sorted(body)), max_size=3)):
        section = body[name]
        if isinstance(section, dict) and section and data.draw(st.booleans()):
            section[data.draw(st.sampled_from(sorted(section)))] = data.draw(ANYTHING)
        else:
            body[name] = data.draw(ANYTHING)
    strange = found(body, info=data.draw(st.just(INFO) | st.dictionaries(st.sampled_from(sorted(INFO)), ANYTHING)))
    for name, text in lines(strange):
        assert len(text) < 300
        assert not UNSEEN.search(text), (name, text)
        assert wants_a_look(name, strange) in (True, False)
    seen = heard({"telemetry": body})
    seen.known["pi"].found = strange
    for all_of_them in (False, True):
        seen.named = None if all_of_them else "pi"
        file = StringIO()
        Console(file=file, width=120).print(frame(seen, Console(file=file, width=120), ""))
        assert "\x1b" not in file.getvalue()


def heard(bodies: dict[str, Any], name: str = "pi", seen: Boards | None = None) -> Boards:
    """Boards of which one has said something."""
    seen = seen or Boards(None)
    for kind, body in {"status": {"state": "online"}, **bodies}.items():
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        seen.take(Message(f"edge/{name}/{kind}", payload))
    return seen


def test_what_a_broker_brings_is_bounded():
    """Names that are none, messages that are too large or no JSON, and the hundred-and-first board are passed over."""
    seen = Boards(None)
    for name in ("a b", "", "x" * 65, "ü"):
        assert not heard({}, name, seen).known
    heard({"telemetry": b" " * (BYTES_MAX + 1), "info": b"[" * 60_000, "event": b"x"}, "pi", seen)
    assert seen.known["pi"].found == {"device": "pi", "status": {"state": "online"}}
    for number in range(BOARDS_MAX + 5):
        heard({}, f"b{number}", seen)
    assert (len(seen.known), seen.left_out) == (BOARDS_MAX, True)
    seen.take(Message("edge/pi/status", b""))
    assert "pi" not in seen.known


def test_a_course_holds_numbers_alone():
    """What is no temperature leaves no bar, and old readings go."""
    seen = Boards("pi")
    for value in (50, 51.5, None, True, "x", [], 10**400, -5000, 52):
        seen.take(Message("edge/pi/telemetry", dumps({"thermal": {"hottest_celsius": value}})))
    assert [celsius for _, celsius in seen.known["pi"].course] == [50, 51.5, 52]
    for number in range(500):
        seen.take(Message("edge/pi/telemetry", dumps({"thermal": {"hottest_celsius": number % 90}})))
    assert len(seen.known["pi"].course) == 60


def test_columns_are_those_that_fit():
    """Never wider than the terminal, but for the name; all of them on a wide one."""
    for width in range(300):
        taken = fitting(width)
        used = sum(column.width for column in taken) + 2 * (len(taken) - 1)
        assert taken == list(COLUMNS[: len(taken)])
        assert used <= max(width, COLUMNS[0].width)
    assert len(fitting(150)) == len(COLUMNS)


def test_a_wide_terminal_has_room_for_the_reason():
    """Cut off where columns are few, whole where there is room; no line is wider than the terminal."""
    seen = heard({"telemetry": reading()})
    for width, is_whole in ((131, False), (200, True)):
        file = StringIO()
        Console(file=file, width=width).print(frame(seen, Console(file=file, width=width), ""))
        text = file.getvalue()
        assert ("throttled; slowed: it would be too hot" in text) == is_whole, text
        assert max(map(len, text.splitlines())) <= width


# --- the program ---


def test_once(board):
    """Without a terminal it prints and ends, with 0 for a board that answers, else 1."""
    with telling(board):
        status, out, said = ended(started(board.env, "status"))
    assert (status, said) == (0, "")
    assert "\ngovernor   slowed: it would be too hot; works 70 %" in out
    for state, expected in (("unloaded", 0), ("loading", 1), ("offline", 1)):
        board.state(state)
        assert ended(started(board.env, "status", "--wait=1"))[0] == expected


def test_all_boards(board):
    """A line each, and as JSON by their names; 1 where one is not online."""
    with telling(board):
        board.user.publish("edge/attic/status", {"state": "offline", "reason": "x"}, retain=True)
        status, out, _ = ended(started(board.env, "status", "--all", "--wait=2"))
        assert status == 1
        assert re.search(r"^attic +offline$", out, re.MULTILINE)
        assert re.search(r"^odd +online +81.2 °C, 6.0 of 8.0 GiB memory free", out, re.MULTILINE)
        bodies = json.loads(ended(started(board.env, "status", "--all", "--json", "--wait=2"))[1])
        assert (set(bodies), bodies["odd"]["telemetry"]) == ({"attic", "odd"}, reading())
        board.user.publish("edge/attic/status", b"", retain=True)
        assert ended(started(board.env, "status", "--all", "--wait=2"))[0] == 0


@pytest.mark.slow
def test_nobody_is_there(port):
    """One board that is not known, or none at all: the status is 69, on a terminal, too."""
    env = {"EDGE_BROKER__PORT": str(port), "EDGE_DEVICE": "nobody"}
    for words in (["status", "--wait=1"], ["status", "--all", "--wait=1"]):
        status, _, said = ended(started(env, *words))
        assert status == 69
        assert re.search("no board (named nobody )?is known to (this|the) broker", said)
        process, terminal = in_terminal(env, *words)
        assert "is known to" in shown_on(terminal)
        assert process.wait(10) == 69


# --- on a terminal ---


class Watched:
    """A live view in a terminal, and what it has shown so far."""

    def __init__(self, env: dict[str, str], *words: str, columns: int = 100) -> None:
        self.process, self._terminal = in_terminal(env, "status", *words, columns=columns)
        self.shown = ""

    def until(self, words: str, seconds: float = 30) -> str:
        """All that has come once some words have."""
        end = time.monotonic() + seconds
        while words not in self.text and time.monotonic() < end:
            if select.select([self._terminal], [], [], 0.2)[0]:
                self.shown += os.read(self._terminal, 65536).decode(errors="replace")
        assert words in self.text, self.text
        return self.text

    @property
    def text(self) -> str:
        """Without what steers the terminal."""
        return STEERS.sub("", self.shown)

    def ends(self, number: int) -> int:
        """The exit status after a signal; the terminal is left as it was found."""
        self.process.send_signal(number)
        self.shown += shown_on(self._terminal)
        assert self.shown.rindex("\x1b[?25h") > self.shown.rindex("\x1b[?25l"), "the cursor is hidden"
        assert self.shown.rstrip().endswith("\x1b[?25h")
        return self.process.wait(10)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_changes_as_the_board_does(board, number, status):
    """A reading, the next one, the course of both, an event, another state; a signal ends it, the last frame stays."""
    with telling(board):
        view = Watched(board.env)
        view.until("81.2 °C")
        changed = reading()
        changed["thermal"]["hottest_celsius"] = 61.5
        board.user.publish("edge/odd/telemetry", changed)
        view.until("█▁ 61.5 to 81.2 °C in 0 min")
        board.user.publish("edge/odd/event", {"time": 1.0, "event": "throttled", "is_on": True, "reason": "heat"})
        view.until("s ago: throttled began: heat")
        board.state("stopping")
        view.until("odd is stopping")
        assert view.ends(number) == status
        assert COLOUR.search(view.shown)
        assert view.text.rstrip().endswith("Ctrl-C ends it")


@pytest.mark.slow
def test_all_boards_as_they_come(board):
    """The table has them by name, one that comes later, too, and none that has gone."""
    with telling(board):
        view = Watched(board.env, "--all", columns=170)
        for words in ("odd", "online", "81.2", "109.8", "3 + 2", "1.50 GHz", "5.6 W", "0.26", "throttled"):
            view.until(words)
        board.user.publish("edge/attic/status", {"state": "loading"}, retain=True)
        view.until("attic")
        board.user.publish("edge/attic/status", b"", retain=True)
        time.sleep(1.5)
        assert view.ends(signal.SIGINT) == 130
        assert "attic" not in view.text[view.text.rindex("tokens/s") :]


def test_a_strangers_words_steer_nothing(board):
    """Neither rich's markup nor a terminal's commands: names, reasons, models are shown as they are, or spelled out."""
    evil = "[red]x[/red]\x1b[2J\x1b]0;title\x07\nforged\u202e :smile:"
    board.info(**{**INFO, "model": evil})
    changed = reading()
    changed["governor"]["reason"] = changed["board"]["model"] = changed["power"]["mode"] = evil
    board.user.publish("edge/odd/telemetry", changed, retain=True)
    board.user.publish("edge/odd/status", {"state": evil, "reason": evil}, retain=True)
    for words in ([], ["--all"]):
        view = Watched(board.env, *words, columns=300)
        view.until("[red]x[")
        board.user.publish("edge/odd/event", {"event": evil, "is_on": [], "state": evil, "reason": evil})
        time.sleep(1)
        assert view.ends(signal.SIGTERM) == 143
        left = STEERS.sub("", view.shown.replace("\x1b[2K", ""))
        assert "\x1b[2J" not in view.shown
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e]", left)
        assert "\nforged" not in view.shown
        assert words or "x1b[2J" in view.text
    board.user.publish("edge/odd/telemetry", b"", retain=True)


@pytest.mark.parametrize("words", [[], ["--all"]])
@pytest.mark.parametrize("columns", [40, 20, 1, 0])
def test_narrow_terminals(board, words, columns):
    """It is drawn, and ends as it should."""
    with telling(board):
        view = Watched(board.env, *words, columns=columns)
        view.until("o" if columns != 1 else "C")
        assert view.ends(signal.SIGINT) == 130
        if columns >= 20:
            assert all(len(line) <= columns for line in re.split(r"[\r\n]+", view.text))


def test_without_colours_and_in_ascii(board):
    """NO_COLOR is heeded (no-color.org); where the locale has ASCII alone, nothing else is written."""
    with telling(board):
        view = Watched({**board.env, "NO_COLOR": "1"})
        view.until("81.2 °C")
        assert view.ends(signal.SIGINT) == 130
        assert not COLOUR.search(view.shown)
        old = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}
        for words in ([], ["--all"]):
            view = Watched({**board.env, **old}, *words, columns=120)
            view.until("81.2")
            assert view.ends(signal.SIGINT) == 130
            assert view.shown.isascii()
            assert "\\x" not in view.shown


def test_a_terminal_that_cannot_be_steered(board):
    """A dumb one, or one of which nothing is known, is printed on once."""
    with telling(board):
        for term in ("dumb", ""):
            process, terminal = in_terminal({**board.env, "TERM": term or "dumb"}, "status", "--wait=3")
            shown = shown_on(terminal)
            assert process.wait(10) == 0
            assert "\x1b" not in shown
            assert "81.2 °C" in shown


def test_without_rich(board, tmp_path):
    """The same lines once, and what would bring the live view."""
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError('rich')\n")
    with telling(board):
        env = {**board.env, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
        process, terminal = in_terminal(env, "status", "--wait=3")
        shown = shown_on(terminal)
    assert process.wait(10) == 0
    assert "edge-slm[live]" in shown
    assert "81.2 °C" in shown


@pytest.mark.slow
def test_a_broker_that_goes_away(tmp_path):
    """Said below the last reading, in the frame; once it is back the view goes on."""
    with embedded_broker(tmp_path) as port, Board(port) as board:
        board.info(**INFO)
        board.user.publish("edge/odd/telemetry", reading(), retain=True)
        view = Watched(board.env)
        view.until("81.2 °C")
    view.until("trying again")
    with embedded_broker(tmp_path, port), Board(port) as board:
        board.user.publish("edge/odd/status", {"state": "loading"}, retain=True)
        view.until("odd is loading", 60)
        assert view.ends(signal.SIGTERM) == 143
    assert "Traceback" not in view.text


def test_the_daemon_never_loads_what_draws():
    """A board pays for the live view with disk alone."""
    code = (
        "import sys, edge.commands.serve, edge.service.daemon; print([n for n in sys.modules if n.startswith('rich')])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=env, cwd=Path("/")) == "[]\n"
