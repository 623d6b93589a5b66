"""Chromium as a kiosk wants it: one page, nothing kept, nobody called."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from edge.commands.kiosk_pipe import Event, LostError, Pipe
from edge.errors import ConfigError

PROGRAMS = ("chromium", "chromium-browser")
"""Debian's name, and what Raspberry Pi OS called it."""
CACHE_BYTES = 32 << 20
END_SECONDS, TICK_SECONDS = 3.0, 0.05
FIRST_FREE = 10
"""Descriptors of ours below this are not handed on, so that 3 and 4 are free for Chromium's."""
READS, WRITES = 3, 4
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""Which a program that we start would go on ignoring."""
FLAGS = (
    "--kiosk",
    "--remote-debugging-pipe",
    # Nothing asks a visitor, or tells of an earlier visitor's crash.
    *("--no-first-run", "--no-default-browser-check", "--noerrdialogs", "--hide-crash-restore-bubble"),
    *("--disable-session-crashed-bubble", "--disable-extensions", "--disable-notifications"),
    # A finger moves the page, and neither its size nor its history.
    *("--disable-pinch", "--overscroll-history-navigation=0"),
    # It calls nobody: neither updates, lists of bad pages, experiments, figures, crash reports nor accounts.
    *("--disable-background-networking", "--disable-component-update", "--disable-domain-reliability"),
    *("--disable-client-side-phishing-detection", "--disable-sync", "--disable-breakpad", "--no-pings"),
    *("--disable-crash-reporter", "--disable-default-apps", "--no-service-autorun"),
    # Not stopped by the flag above: a model of its own. Nothing listens at that address.
    "--component-updater=url-source=http://127.0.0.1:9/",
    "--disable-features=Translate,OptimizationHints,MediaRouter,AutofillServerCommunication,NetworkTimeServiceQuerying",
    # No keyring asks for a password; what is kept at all is gone with the profile.
    *("--password-store=basic", f"--disk-cache-size={CACHE_BYTES}", f"--media-cache-size={CACHE_BYTES}"),
    "--log-level=3",
)
OURS = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
"""What systemd gave us is not for a renderer."""


async def with_chromium(
    more: Sequence[str], event: Event, work: Callable[[Pipe], Coroutine[Any, Any, None]], under_cage: bool = False
) -> None:
    """Some work with a browser that has a profile of its own and an empty page; both are gone afterwards.

    more: further flags. under_cage: with a compositor of its own, which ends with it and it with the compositor.
    LostError as soon as either has ended, ConfigError where it is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="kiosk-", dir=runtime_folder(), ignore_cleanup_errors=True) as profile:
        words = [*command(under_cage), *FLAGS, *more, f"--user-data-dir={profile}", "about:blank"]
        process, commands, answers = start(words, environment(profile))
        with commands, answers:
            pipe = Pipe(commands, event)
            try:
                await together(pipe.read(answers), work(pipe))
            finally:
                await end(process, pipe)


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Several until one of them ends; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()


def command(under_cage: bool) -> list[str]:
    """Chromium's, with the screen that it is on."""
    wayland = ["--ozone-platform=wayland"] if under_cage or "WAYLAND_DISPLAY" in os.environ else []
    return [*([installed("cage"), "-d", "--"] if under_cage else []), installed(*PROGRAMS), *wayland]


def installed(*names: str) -> str:
    """The path of a program; ConfigError where it has none of these names."""
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise ConfigError(f"there is no {names[0]} on this board: apt install {names[0]}")
    return program


def start(words: list[str], surroundings: dict[str, str]) -> tuple[int, BinaryIO, BinaryIO]:
    """A process, the leader of a group, which has its pipes at 3 and 4; what takes commands, what gives answers."""
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    high = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for each in (theirs_in, theirs_out)]
    actions = [(os.POSIX_SPAWN_DUP2, high[0], READS), (os.POSIX_SPAWN_DUP2, high[1], WRITES)]
    try:
        process = os.posix_spawn(
            words[0], words, surroundings, file_actions=actions, setpgroup=0, setsigdef=IGNORED_BY_PYTHON
        )
    except BaseException:
        os.close(commands)
        os.close(answers)
        raise
    finally:
        for each in (theirs_in, theirs_out, *high):
            os.close(each)
    return process, os.fdopen(commands, "wb", buffering=0), os.fdopen(answers, "rb", buffering=0)


async def end(process: int, pipe: Pipe) -> None:
    """Ask it to end, then make it; with all that it has started."""
    with suppress(LostError):
        pipe.tell("Browser.close")
        for _ in range(int(END_SECONDS / TICK_SECONDS)):
            if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
            await asyncio.sleep(TICK_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)


def environment(profile: str) -> dict[str, str]:
    """Whatever it keeps anywhere is kept in the profile."""
    folders = {"HOME": profile, "XDG_CONFIG_HOME": f"{profile}/config", "XDG_CACHE_HOME": f"{profile}/cache"}
    return {name: value for name, value in os.environ.items() if name not in OURS} | folders


def runtime_folder() -> str | None:
    """Where profiles are: where TMPDIR says, else a unit's or a session's own folder, which is in memory mostly."""
    own = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or os.environ.get("XDG_RUNTIME_DIR")
    return os.environ.get("TMPDIR") or own or None
