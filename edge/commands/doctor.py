"""`edge doctor`: one look at everything that has to be right, each with what to do where it is not.

Of the machine that it runs on, or, with `--device`, of a board by what it has published at its broker.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from edge.board.sensors import read_all
from edge.commands import doctor_board, doctor_machine, doctor_providers, doctor_unit
from edge.commands.boards import READY
from edge.commands.connection import add_connection, connected_settings
from edge.commands.findings import Check, Finding, Reading, bad, found_by, look, report
from edge.commands.running import run
from edge.commands.seen import Boards
from edge.commands.serve import board_sources
from edge.commands.status import collect
from edge.commands.status_rows import part, wire
from edge.config import Settings
from edge.errors import BrokerError, ConfigError

WAIT_SECONDS = 15.0
"""For a board's reading; one comes each ten seconds unless set."""
CLOCKS_SECONDS = 60.0
"""Apart, two clocks are two."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which machine, and which broker."""
    parser.description = "Check this machine and its broker; with --device a board, by what it tells of itself."
    add_connection(parser, "look at, by what it has published")
    parser.add_argument(
        "--unit", action="store_true", help="print a drop-in of edge.service with limits for this board"
    )


def main(options: argparse.Namespace) -> int:
    """Run every check; exit status 0 where nothing is BAD, else 1. ConfigError where no setting can be read.

    With --unit print limits instead; BundleError, exit status 65 or 75, where there is no bundle or it would not fit.
    """
    if options.unit and options.device:
        options.parser.error("--unit is for this machine: run it on the board")
    try:
        settings = connected_settings(options)
    except ConfigError:
        print("BAD  settings   nothing else can be looked at before they are mended:")
        raise
    if options.unit:
        print(doctor_unit.drop_in(settings), end="")
        return 0
    checks = of_board(settings) if options.device else of_machine(settings)
    return 1 if report(checks) else 0


def of_machine(settings: Settings) -> dict[str, Check]:
    """The checks of the machine that this runs on."""
    body = read_all(board_sources(settings), settings.telemetry.root).body()
    own: dict[str, Check] = {name: partial(check, settings) for name, check in doctor_machine.CHECKS.items()}
    own["provider"] = partial(doctor_providers.providers, settings)
    own["governor"] = partial(doctor_machine.governor, settings, body)
    return merged(told(body, doctor_board.SENSORS), own)


def of_board(settings: Settings) -> dict[str, Check]:
    """The checks of a board that has published; where it has not, why."""
    seen = Boards(settings.device)
    try:
        run(collect(settings, seen, WAIT_SECONDS))
    except BrokerError as error:
        reason = str(error)
        return {"broker": lambda: [bad(reason)]}
    found = seen.known[settings.device].found
    reached = Finding(f"{settings.broker.host}:{settings.broker.port} knows {settings.device}")
    more = told(found["telemetry"], doctor_board.ALL) if "telemetry" in found else {}
    return {"broker": lambda: [reached], "board": partial(board, found), **more}


def told(body: Reading, checks: Mapping[str, Callable[[Reading], Iterator[Finding]]]) -> dict[str, Check]:
    """The checks of a reading."""
    return {name: partial(check, body) for name, check in checks.items()}


def merged(first: dict[str, Check], second: dict[str, Check]) -> dict[str, Check]:
    """Both; under one name one after the other."""
    both = {name: [each[name] for each in (first, second) if name in each] for name in [*first, *second]}
    return {name: partial(one_by_one, checks) for name, checks in both.items()}


def one_by_one(checks: list[Check]) -> Iterator[Finding]:
    """All that several find."""
    for check in checks:
        yield from found_by(check)


def board(found: dict[str, Any]) -> Iterator[Finding]:
    """Its state, its model, its language, its clock."""
    state, reason = found["status"].get("state"), found["status"].get("reason")
    found_as = Finding if state in READY else look if state == "loading" else bad
    yield found_as(f"it is {state}{told_by(state, reason)}")
    info, telemetry = found.get("info") or {}, found.get("telemetry")
    if info:
        yield Finding(f"{info.get('model')} {info.get('model_version', '')} on {info.get('provider')}")
    if other := wire(found):
        yield bad(other)
    if telemetry is None:
        advice = "look again, or at its telemetry.period_seconds"
        yield look(f"no reading came in {WAIT_SECONDS:.0f} s, so nothing else is known: {advice}")
    elif abs(apart := part(found, "telemetry").get("time", 0) - time.time()) > CLOCKS_SECONDS:
        yield look(f"its clock and this machine's are {abs(apart):.0f} s apart: `timedatectl` on both")


def told_by(state: str | None, reason: object) -> str:
    """Why a board does not answer, and what to do."""
    if state == "unloaded":
        return ": the next question loads its model, and waits so long"
    if state in ("online", "loading"):
        return ""
    return f"{f' ({reason})' if reason else ''}: `systemctl status edge` and `edge doctor` on the board say more"
