"""`edge screen`: this board's screen on or off, by what is there: the compositor, else the backlight."""

from __future__ import annotations

import argparse
import logging
import os
import re
import shutil
import subprocess
from pathlib import Path

from edge.errors import ConfigError, StartError

log = logging.getLogger(__name__)

KIOSK_FOLDER = Path("/run/edge-kiosk")
"""Where edge-kiosk.service has its compositor's socket."""
BACKLIGHTS = "sys/class/backlight/*/bl_power"
BACKLIGHT = {"on": "0", "off": "4"}
"""FB_BLANK_UNBLANK and FB_BLANK_POWERDOWN (Linux, Documentation/ABI/stable/sysfs-class-backlight)."""
OUTPUT = re.compile(r"^(\S+) ", re.MULTILINE)
"""A line of wlr-randr that is not indented begins with an output's name."""
PATIENCE_SECONDS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """On or off."""
    parser.add_argument("power", choices=["on", "off"], metavar="on|off", help="what it is to be")
    parser.add_argument("--root", type=Path, default=Path("/"), help=argparse.SUPPRESS)


def main(options: argparse.Namespace) -> int:
    """Turn every output. ConfigError where there is nothing to turn, or no right to; StartError where it refuses."""
    tried = [turn_outputs(options.power), turn_backlights(options.power, options.root)]
    if None in tried:
        return 0
    raise ConfigError(f"this screen cannot be turned {options.power}: {'; '.join(filter(None, tried))}")


def turn_outputs(power: str) -> str | None:
    """By the compositor; why not, where it cannot."""
    socket = wayland_socket()
    if socket is None:
        return "no compositor runs for this user"
    program = shutil.which("wlr-randr")
    if program is None:
        return "wlr-randr is not installed"
    surroundings = os.environ | {"XDG_RUNTIME_DIR": str(socket.parent), "WAYLAND_DISPLAY": socket.name}
    done, said = called([program], surroundings)
    names = OUTPUT.findall(said)
    if not done or not names:
        return f"the compositor does not let outputs be turned ({said.strip() or 'it has none'})"
    for name in names:
        done, said = called([program, "--output", name, f"--{power}"], surroundings)
        if not done:
            raise StartError(f"the compositor does not turn {name} {power}: {said.strip()}")
        log.info("%s is %s", name, power)
    return None


def called(command: list[str], surroundings: dict[str, str]) -> tuple[bool, str]:
    """Whether a program did it, and what it said."""
    try:
        done = subprocess.run(
            command, env=surroundings, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"{command[0]} took more than {PATIENCE_SECONDS} s"
    return done.returncode == 0, done.stdout if done.returncode == 0 else done.stderr


def wayland_socket() -> Path | None:
    """A compositor's that this user may speak to: the session's, or the kiosk's."""
    folder = os.environ.get("XDG_RUNTIME_DIR")
    folders = [Path(folder)] if folder else []
    display = os.environ.get("WAYLAND_DISPLAY")
    names = [display] if display else []
    for each in [*folders, KIOSK_FOLDER]:
        if os.access(each, os.R_OK | os.X_OK):
            found = [each / name for name in names] + sorted(each.glob("wayland-[0-9]"))
            if there := [path for path in found if path.is_socket()]:
                return there[0]
    return None


def turn_backlights(power: str, root: Path) -> str | None:
    """By the panel's light; why not, where it cannot. A touch panel goes on feeling."""
    switches = sorted(root.glob(BACKLIGHTS))
    if not switches:
        return "there is no backlight in /sys/class/backlight"
    for switch in switches:
        try:
            switch.write_text(BACKLIGHT[power])
        except PermissionError:
            return f"{switch} may not be written by this user (group video, by the udev rule of edge-slm-kiosk)"
        log.info("%s is %s", switch.parent.name, power)
    return None
