"""`python -m edge.store install NAME`: the installer, a process of its own; `latest NAME` tells which is the newest.

On standard output a line of JSON for each thing that happens, the last one `verified`, `latest` or `refused`:

    {"state": "downloading", "done_bytes": 1048576, "total_bytes": 104857600}
    {"state": "verifying", "done_bytes": 104857600, "total_bytes": 104857600}
    {"state": "verified", "digest": "…", "name": "…", "version": "6", "size_bytes": …, "fetched_bytes": …,
     "signed_by": null}
    {"state": "latest", "name": "…", "version": "7"}
    {"state": "refused", "reason": "…", "passes": false}

Exit statuses: 0 verified or told, 65 refused, 75 not now, 78 a wrong setting, 71 the system refuses a file,
130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any

from edge.config import Settings, load_settings
from edge.errors import MAY_PASS, ConfigError, EdgeError
from edge.store.index import NEWEST
from edge.store.store import act_as_owner

TOLD_SECONDS = 0.25
"""Between two lines about a download."""
SYSTEM_ERROR, INTERRUPTED = 71, 130
FULL = {errno.ENOSPC, errno.EDQUOT}


def main(arguments: list[str] | None = None) -> int:
    """Install, and tell; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        say(**_done(options))
    except EdgeError as error:
        say(state="refused", reason=str(error), passes=error.exit_status == MAY_PASS)
        return error.exit_status
    except OSError as error:
        say(state="refused", reason=str(error), passes=error.errno in FULL)
        return MAY_PASS if error.errno in FULL else SYSTEM_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _installed(options: argparse.Namespace) -> dict[str, Any]:
    from edge.store.install import Wish, install

    settings = _settings(options)
    channel = options.channel or settings.store.channel
    wish = Wish(options.name, channel, options.version, is_again=not options.unless_failed)
    return {"state": "verified", **asdict(install(wish, settings, Telling()))}


def _latest(options: argparse.Namespace) -> dict[str, Any]:
    from edge.store.install import Wish, latest

    settings = _settings(options)
    index = latest(Wish(options.name, options.channel or settings.store.channel), settings)
    return {"state": "latest", "name": index.name, "version": index.version}


def _done(options: argparse.Namespace) -> dict[str, Any]:
    """What the last line says."""
    try:
        return ACTIONS[options.action](options)
    except ModuleNotFoundError as error:
        text = f"bundles from a repository need {error.name}, which is not installed"
        raise ConfigError(f"{text}: pip install 'edge-slm[fleet]'") from error


ACTIONS = {"install": _installed, "latest": _latest}


def _settings(options: argparse.Namespace) -> Settings:
    """With the store's folder for one's own. ConfigError where what a repository takes is not installed."""
    given = {"repository": options.repository} if options.repository else {}
    settings = load_settings(**({"store": given} if given else {}))
    act_as_owner(settings.store.folder)
    return settings


class Telling:
    """A line of JSON for each state, and a few a second for a download."""

    def __init__(self) -> None:
        self._told_seconds = 0.0

    def __call__(self, state: str, done_bytes: int, total_bytes: int) -> None:
        """What is being done, and how much of it is."""
        now_seconds = time.monotonic()
        if state != "downloading" or done_bytes == total_bytes or now_seconds - self._told_seconds >= TOLD_SECONDS:
            self._told_seconds = now_seconds
            say(state=state, done_bytes=done_bytes, total_bytes=total_bytes)


def say(**fields: Any) -> None:
    """One line. Who read them may be gone: then nothing is left to be done."""
    try:
        print(json.dumps(fields, ensure_ascii=False), flush=True)
    except BrokenPipeError:
        os._exit(128 + 13)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge.store", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    install = actions.add_parser("install", help="fetch and verify a bundle", allow_abbrev=False)
    install.add_argument("--version", default=NEWEST, help="which one (default: the channel's newest)")
    install.add_argument("--unless-failed", action="store_true", help="refuse one that was rolled back here before")
    latest = actions.add_parser("latest", help="say which version is the channel's newest", allow_abbrev=False)
    for action in (install, latest):
        action.add_argument("name", help="the bundle's name")
        action.add_argument("--channel", help="default: store.channel")
        action.add_argument("--repository", help="a folder or an address (default: store.repository)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
