"""A Debian with a screen that nobody sees, booted for the kiosk's package."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.systemd.machine import Machine, booted
from tests.systemd.packages import FIND, debian

INSIDE = (
    "python3,systemd,systemd-sysv,libstdc++6,udev,iproute2,nftables,grim"
    ",chromium,cage,seatd,xwayland,wlr-randr,fonts-noto-core,fonts-noto-cjk"
)
"""What both packages want, and what looks at them."""
KIOSK = "edge-kiosk.service"
HEADLESS = "WLR_BACKENDS=headless WLR_LIBINPUT_NO_DEVICES=1 WLR_RENDERER=pixman"
"""wlroots' words for a compositor without card and seat (wlroots, docs/env_vars.md)."""
NETWORK = "ip link set lo up; ip route add default dev lo; echo nameserver 192.0.2.53 > /etc/resolv.conf"
DISPLAY = ("XDG_RUNTIME_DIR=/run/edge-kiosk", "WAYLAND_DISPLAY=wayland-0")


@contextmanager
def box(release: int, packages: Path, bundle: Path, folder: Path) -> Iterator[Machine]:
    """Booted, with its packages below /mnt/packages; whatever leaves its loopback is routed, counted and lost."""
    with booted("boot_package.sh", folder, debian(release, "kiosk", INSIDE), packages, bundle.resolve()) as machine:
        machine.run("sh", "-c", f"{FIND} > /mnt/before")
        machine.run("sh", "-ec", NETWORK)
        yield machine


def drop_in(machine: Machine, name: str, *lines: str) -> None:
    """Lines more for the unit, or none."""
    folder = f"/etc/systemd/system/{KIOSK}.d"
    text = "\n".join(["[Service]", *lines])
    machine.run("sh", "-c", f"mkdir -p {folder}; printf '%s\\n' \"$1\" > {folder}/{name}.conf", "sh", text)
    machine.run("systemctl", "daemon-reload")


def shown(machine: Machine, name: str) -> str:
    """A property of the kiosk's unit."""
    return machine.run("systemctl", "show", KIOSK, f"--property={name}", "--value")


def processes(machine: Machine, pattern: str) -> list[str]:
    """Process ids of the unit whose command line has a text."""
    group = f"/sys/fs/cgroup/system.slice/{KIOSK}/cgroup.procs"
    is_one = f"tr '\\0' ' ' < /proc/$pid/cmdline 2>/dev/null | grep -q -e '{pattern}'"
    return machine.run("sh", "-c", f"for pid in $(cat {group}); do {is_one} && echo $pid; done", check=False).split()


def browser(machine: Machine) -> str:
    """Chromium's first process."""
    return next(iter(processes(machine, "^/usr/lib/chromium/chromium .*about:blank")), "")


def signal(machine: Machine, name: str, *pids: str) -> None:
    """Send one."""
    machine.run("sh", "-c", f"kill -s {name} {' '.join(pids)}")


def connections(machine: Machine) -> set[str]:
    """Ends of what the kiosk's user has open to its broker's WebSocket (Linux, networking/proc_net_tcp)."""
    user = machine.run("id", "-u", "edge-kiosk")
    lines = (line.split() for line in machine.run("cat", "/proc/net/tcp").splitlines()[1:])
    return {it[1] for it in lines if it[2].endswith(":2329") and it[3] == "01" and it[7] == user}


def picture(machine: Machine, target: Path) -> None:
    """What is on the screen, as a PNG."""
    as_user = ["setpriv", "--reuid=edge-kiosk", "--regid=edge-kiosk", "--init-groups", "env", *DISPLAY]
    machine.run(*as_user, "grim", "/tmp/screen.png")
    shutil.copyfile(f"/proc/{machine.pid}/root/tmp/screen.png", target)
