"""The command line. Each command is a file of its name, imported when it is asked for."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from edge import __version__

COMMANDS = {
    "demo": ("edge.commands.demo", "try it: a broker, the daemon and three answers in this terminal"),
    "serve": ("edge.commands.serve", "run the daemon on this board"),
    "ask": ("edge.commands.ask", "ask a board something and watch the answer come"),
    "status": ("edge.commands.status", "what a board says of itself"),
    "doctor": ("edge.commands.doctor", "check this machine, its settings, its bundle and its broker"),
    "bundle": ("edge.commands.bundle", "look at a bundle, or verify it"),
    "broker": ("edge.commands.broker", "run the embedded broker alone"),
    "bench": ("edge.commands.bench", "measure the model on this board"),
}
EPILOG = """\
Settings come from EDGE_ variables, edge.toml and systemd credentials; `edge serve --print-config` shows them.
Exit statuses: 0 done, 1 refused or failed, 2 wrong usage, 65 bad bundle, 69 broker refuses, 75 not now: it may do
another time, 78 wrong setting, 130 interrupted.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; an error that names itself is printed, not traced."""
    words = sys.argv[1:] if arguments is None else arguments
    options, unknown = _parser(words).parse_known_args(words)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    module = import_module(COMMANDS[options.command][0])
    from edge.errors import EdgeError

    try:
        return int(module.main(options))
    except EdgeError as error:
        print(f"edge {options.command}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130


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
    called = next((word for word in words if not word.startswith("-")), None)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(parser=command)
        if name == called:
            import_module(module).add_arguments(command)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
