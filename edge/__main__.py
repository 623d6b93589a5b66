"""The command line. Each command is a file of its name, imported when it is asked for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

from edge import __version__

COMMANDS = {
    "demo": ("edge.commands.demo", "try it: a broker, the daemon and three answers in this terminal"),
    "kiosk": ("edge.commands.kiosk", "try the kiosk: a broker that hands out its page, the daemon, a browser"),
    "serve": ("edge.commands.serve", "run the daemon on this board"),
    "run": ("edge.commands.run", "ask a model by its name: find or make its bundle, serve it, answer"),
    "ask": ("edge.commands.ask", "ask a board something and watch the answer come"),
    "status": ("edge.commands.status", "what a board says of itself, or every board at its broker"),
    "doctor": ("edge.commands.doctor", "check a board: power, sensors, clock, bundle, broker, and what to do"),
    "schema": ("edge.commands.schema", "print the JSON Schema of a message"),
    "bundle": ("edge.commands.bundle", "look at bundles, verify, install, list them, go back to the one before"),
    "documents": (
        "edge.commands.documents",
        "make folders of documents known to answers; list, try, remove what is made",
    ),
    "rollout": ("edge.commands.rollout", "say which bundle a board is to run, and wait until it does"),
    "broker": ("edge.commands.broker", "run the embedded broker alone"),
    "browser": ("edge.commands.kiosk_browser", "show a page on this board's screen, and keep it there"),
    "screen": ("edge.commands.kiosk_screen", "turn this board's screen on or off"),
    "bench": ("edge.commands.bench", "measure the model on this board"),
}
SERVICES = ("serve", "broker", "browser")
"""They end at signals in their own way, and a service manager is to know that SIGTERM ended one before it could."""
EPILOG = """\
Settings come from EDGE_ variables, edge.toml and systemd credentials; `edge serve --print-config` shows them.
Exit statuses, of every command:
  0 done, 1 refused or failed, 2 wrong usage, 4 out of time, 65 bad bundle or documents, 69 no broker or no such board,
  71 the system refuses a file or the like, 74 standard output takes no more, 75 not now: it may do another time,
  76 the board speaks another language, 78 a setting, file or question that cannot be used,
  130, 141, 143 ended by Ctrl-C, by a pipe that nobody reads, by SIGTERM.
"""
SYSTEM_ERROR, INTERRUPTED = 71, 130
"""What is not ours to mend (sysexits' EX_OSERR); a shell's word for SIGINT."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; an error that names itself is printed, not traced.

    Without arguments it is the program itself: it takes over the standard streams, and ends at once where it was
    interrupted, whatever threads still wait for a network.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:  # what is imported takes a while on a board
        if arguments is None:
            _prepare(words)
        name = " ".join(filter(None, ("edge", called(words))))
        status = _ended(name, partial(_command, words)) or _ended(name, _flushed)
    except KeyboardInterrupt:
        status = INTERRUPTED
    if arguments is None and status >= INTERRUPTED:
        os._exit(status)
    return status


def _prepare(words: list[str]) -> None:
    """What the program does to its surroundings before it begins."""
    from edge.commands import signals, streams

    streams.take_over()
    _find_home()
    if called(words) not in SERVICES:
        signals.end_quietly()


def _find_home() -> None:
    """Whom the system knows by a number alone, as in a container, has no home but the root, as Docker has it."""
    if os.path.expanduser("~") == "~":  # noqa: PTH111 - pathlib raises there, and takes its time to be imported
        os.environ["HOME"] = "/"


def called(words: list[str]) -> str | None:
    """The command's name, where there is one."""
    return next((word for word in words if not word.startswith("-")), None)


def _ended(name: str, work: Callable[[], int]) -> int:
    """The exit status of some work, whatever becomes of it."""
    from edge.errors import EdgeError

    try:
        return work()
    except SystemExit as end:  # argparse's, after --help or a wrong usage
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except EdgeError as error:
        return _told(name, str(error), error.exit_status)
    except OSError as error:
        return _told(name, str(error), SYSTEM_ERROR)
    except KeyboardInterrupt:
        return INTERRUPTED


def _told(name: str, why: str, status: int) -> int:
    if why:
        print(f"{name}: {why}", file=sys.stderr)
    return status


def _flushed() -> int:
    sys.stdout.flush()
    return 0


def _command(words: list[str]) -> int:
    from edge.commands import logs, streams

    options, unknown = _parser(words).parse_known_args(words)
    if len(unknown) == 1 and not unknown[0].startswith("-") and getattr(options, "prompt", "") is None:
        options.prompt = unknown.pop()  # a question behind options, which argparse does not find there
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if options.command not in SERVICES:
        logs.set_up_as(f"edge {options.command}")
    if options.command == "broker":  # which serves on, whoever reads that it does
        streams.let_output_go()
    return int(import_module(COMMANDS[options.command][0]).main(options))


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """All commands by name and help; the arguments of the one that is called only, so that --help is quick."""
    parser = argparse.ArgumentParser(
        prog="edge",
        description="Small language models on a board, answering over MQTT, with no cloud.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"edge {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(parser=command)
        if name == called(words):
            import_module(module).add_arguments(command)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
