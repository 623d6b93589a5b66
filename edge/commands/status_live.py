"""`edge status` on a terminal: the same lines as they change, with the course of the temperature; drawn with rich.

The only file that imports rich, and nothing of the daemon imports it. Strangers' words are made visible and go in as
`Text`, so that neither rich's markup nor a terminal's commands in them mean anything.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rich.console import Console, Group, OverflowMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.commands.logs import OneLine, visible
from edge.commands.seen import KNOWN_SECONDS, Board, Boards, check_known, hear, hear_who_is_there
from edge.commands.status_lines import lines, readable, wants_a_look
from edge.commands.status_rows import Found, gibibytes, gigahertz, part
from edge.commands.streams import drawing
from edge.config import Settings
from edge.mqtt.client import UNREADABLE, Client

DRAW_SECONDS = 0.5
"""Between two frames."""
BARS, BARS_IN_ASCII = "▁▂▃▄▅▆▇█", "_.,-=+*#"
SPAN_CELSIUS = 10.0
"""That the course spans at least, so that a sensor's last digit is no storm."""
PLAIN = str.maketrans({"°": "", "×": "x", "…": "..."})
"""For terminals that show ASCII alone."""
ALARM = "bold yellow"


class LastWord(logging.Handler):
    """Keeps the last warning, which a frame shows below the board: printed, it would end up within one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(OneLine("%(message)s"))
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Instead of the one before."""
        self.text = self.format(record)


async def watch(settings: Settings, seen: Boards) -> None:
    """Draw what comes until a signal ends it. BrokerError where the board is not known, or the broker refuses us."""
    async with Client(settings.broker, settings.device, seen.topics) as client:
        await hear_who_is_there(client, seen, KNOWN_SECONDS)
        await check_known(settings, seen)
        console = Console(file=drawing(), markup=False, emoji=False, highlight=False)
        with frames(console) as (live, last):
            while True:
                live.update(frame(seen, console, last.text), refresh=True)
                if await hear(client, seen, DRAW_SECONDS):
                    last.text = ""


@contextlib.contextmanager
def frames(console: Console) -> Iterator[tuple[Live, LastWord]]:
    """Drawn over each other; the last one stays. Warnings go into them meanwhile."""
    root, last = logging.getLogger(), LastWord()
    before, root.handlers = root.handlers, [last]
    try:
        with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
            yield live, last
    finally:
        root.handlers = before


def frame(seen: Boards, console: Console, last: str) -> Group:
    """What is seen of one board, or of all."""
    is_plain = console.options.ascii_only
    width, now = console.size.width, time.monotonic()
    boards = [board for board in seen.all() if board.is_known]
    shown = one(boards[0], now, width, is_plain) if seen.named and boards else table(boards, now, width, is_plain)
    more = f"; there are more than these {len(boards)}" if seen.left_out else ""
    below = Text(plain(f"Ctrl-C ends it{more}", is_plain), style="dim")
    return Group(shown, *([Text(plain(last, is_plain), style=ALARM)] if last else []), below)


def plain(text: str, is_plain: bool) -> str:
    """A text for the terminal that there is."""
    return text.translate(PLAIN) if is_plain else text


# --- one board ---


def one(board: Board, now: float, width: int, is_plain: bool) -> Table:
    """A line a thing, those that want a look in another colour."""
    shown = Table.grid(padding=(0, 1))
    for name, text in lines(board.found):
        style = ALARM if wants_a_look(name, board.found) else ""
        shown.add_row(Text(name, style="bold"), Text(plain(text, is_plain), style=style))
        if name == "heat" and board.course:
            shown.add_row("", Text(plain(course(board, width - 36, is_plain), is_plain)))
    if board.event:
        shown.add_row(Text("event", style="bold"), Text(plain(event(board, now), is_plain)))
    shown.add_row(Text("heard", style="bold"), Text(heard(board, now)))
    return shown


def course(board: Board, width: int, is_plain: bool) -> str:
    """The temperature of the last readings, the lowest and the highest in numbers."""
    low, high = min(value for _, value in board.course), max(value for _, value in board.course)
    minutes = (board.course[-1][0] - board.course[0][0]) / 60
    return f"{sparkline(board, width, is_plain)} {low:.1f} to {high:.1f} °C in {minutes:.0f} min"


def sparkline(board: Board, width: int, is_plain: bool) -> str:
    """A bar a reading, the last ones that there is room for."""
    values = [value for _, value in board.course][-max(width, 1) :]
    bars, low = BARS_IN_ASCII if is_plain else BARS, min(values, default=0.0)
    span = max(max(values, default=0.0) - low, SPAN_CELSIUS)
    return "".join(bars[min(int((value - low) / span * len(bars)), len(bars) - 1)] for value in values)


def event(board: Board, now: float) -> str:
    """The last one, and how long ago it was."""
    when, body = board.event or (now, {})
    return f"{now - when:.0f} s ago: {readable(changed, body)}"


def changed(body: Found) -> str:
    """What an event says, in words."""
    words = [str(body["event"]).replace("_", " ")]
    words += ["began" if body["is_on"] else "ended"] if "is_on" in body else []
    words += [str(body[name]) for name in ("sensor", "state") if body.get(name)]
    return " ".join(words) + (f": {body['reason']}" if body.get("reason") else "")


def heard(board: Board, now: float) -> str:
    """How old the reading is."""
    return "no reading yet" if board.heard is None else f"{now - board.heard:.0f} s ago"


# --- all of them ---


class Column(NamedTuple):
    """One thing of every board. text: raises what a reader of strangers' JSON raises, and is then `?`."""

    title: str
    width: int
    text: Callable[[Board], str]


def reading(board: Board, *names: str) -> Any:
    """A value of the telemetry; None where it is not known."""
    return part(board.found, "telemetry", *names[:-1]).get(names[-1])


def number(value: Any, form: str) -> str:
    """A number in a form; nothing where there is none."""
    return "" if value is None else form.format(value)


def memory(board: Board) -> str:
    """What is free."""
    free = reading(board, "memory", "available_bytes")
    return "" if free is None else f"{gibibytes(free)} GiB"


def clock(board: Board) -> str:
    """The fastest core's."""
    cores = reading(board, "cpu", "each") or ()
    clocks = [core["clock_hertz"] for core in cores if core and core.get("clock_hertz") is not None]
    return gigahertz(max(clocks)) if clocks else ""


def queue(board: Board) -> str:
    """How many grow, and wait."""
    running, waiting = (reading(board, "inference", name) for name in ("running", "queue_length"))
    return "" if running is None else f"{running:d} + {waiting:d}"


def flags(board: Board) -> str:
    """The governor's state and reason, or what the board does to itself."""
    now = part(board.found, "telemetry", "throttling", "now")
    state, reason = (reading(board, "governor", name) for name in ("state", "reason"))
    own = [name.replace("_", " ") for name, value in now.items() if value]
    return "; ".join([*own, *([f"{state}: {reason}" if reason else str(state)] if state else [])])


COLUMNS = (
    Column("board", 16, lambda board: str(board.found["device"])),
    Column("state", 8, lambda board: str(board.found["status"].get("state", "?"))),
    Column("°C", 5, lambda board: number(reading(board, "thermal", "hottest_celsius"), "{:.1f}")),
    Column("course", 12, lambda _board: ""),
    Column("free", 9, memory),
    Column("tokens/s", 8, lambda board: number(reading(board, "inference", "decode_tokens_per_second"), "{:.1f}")),
    Column("queue", 6, queue),
    Column("clock", 8, clock),
    Column("power", 7, lambda board: number(reading(board, "power", "watts"), "{:.1f} W")),
    Column("J/token", 7, lambda board: number(reading(board, "inference", "joules_per_token"), "{:.2f}")),
    Column("governor", 24, flags),
)
"""From the left, as many as there is room for."""


OLD_SECONDS = 60
"""A reading that old is told by grey letters."""
WATCHED = ("board", "heat", "memory", "throttling", "governor")
"""Lines of one board that make its line here stand out."""


def table(boards: list[Board], now: float, width: int, is_plain: bool) -> Table:
    """A line a board."""
    shown = Table(box=None, pad_edge=False, padding=(0, 1))
    overflow: OverflowMethod = "crop" if is_plain else "ellipsis"
    columns = fitting(width)
    for column in columns:
        title = Text(plain(column.title, is_plain))
        spare = spare_of(columns, width) if column is COLUMNS[-1] else 0
        shown.add_column(title, width=column.width + spare, no_wrap=True, overflow=overflow)
    for board in boards:
        is_old = board.heard is not None and now - board.heard > OLD_SECONDS
        style = ALARM if any(wants_a_look(name, board.found) for name in WATCHED) else "dim" if is_old else ""
        shown.add_row(*(Text(cell(column, board, is_plain)) for column in columns), style=style)
    return shown


def fitting(width: int) -> list[Column]:
    """Those that fit into so many characters; the first in any case."""
    taken, room = [COLUMNS[0]], width - COLUMNS[0].width
    for column in COLUMNS[1:]:
        room -= column.width + 2
        if room < 0:
            break
        taken.append(column)
    return taken


def spare_of(columns: list[Column], width: int) -> int:
    """What a terminal has beyond them, which the last, made of words, can use."""
    return max(0, width - sum(column.width + 2 for column in columns) + 2)


def cell(column: Column, board: Board, is_plain: bool) -> str:
    """What stands there, seen whole."""
    if column.title == "course":
        return sparkline(board, column.width, is_plain)
    try:
        return plain(visible(column.text(board)), is_plain)[: 4 * column.width]
    except UNREADABLE:
        return "?"
