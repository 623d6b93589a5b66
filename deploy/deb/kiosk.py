"""`edge-slm-kiosk`: the page, its units and its browser's policy, for every Debian and processor of edge-slm."""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.deb import pack, tree

NAME = "edge-slm-kiosk"
SHARED = f"usr/share/{NAME}"
UNITS = ("edge-kiosk.service", "edge-kiosk-broker.service", "edge-kiosk-screen@.service")
TIMERS = ("edge-kiosk-screen@on.timer", "edge-kiosk-screen@off.timer")
USERS_UNIT = "edge-kiosk-desktop.service"
PLACES = {
    "edge-kiosk.sysusers.conf": f"usr/lib/sysusers.d/{NAME}.conf",
    "edge-kiosk.udev.rules": "usr/lib/udev/rules.d/60-edge-kiosk.rules",
    "edge-kiosk.env": "etc/edge-slm/kiosk.env",
    "edge-kiosk.page.json": "etc/edge-slm/kiosk/kiosk.json",
    "edge-kiosk.policy.json": "etc/chromium/policies/managed/edge-kiosk.json",
}
"""What is beside the units, and where it goes."""
DROP_INS = ("edge.service", "edge@.service")
"""Whom the kiosk's broker wants a password of."""
PAGES = ("docs/kiosk-board.md", "docs/kiosk.md")
DEPENDS = (
    "edge-slm (>= {version})",
    "chromium | chromium-browser",
    "cage",
    "cage (>= 0.2) | xwayland",  # an older one does not start without it
    "seatd",
    "fonts-noto-core | fonts-dejavu-core",
)
CONTROL = """\
Package: edge-slm-kiosk
Version: {version}
Architecture: all
Maintainer: {maintainer}
Installed-Size: {kibibytes}
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: {depends}
Recommends: fonts-noto-cjk, wlr-randr
Section: net
Priority: optional
Description: page on the board's own screen that asks its language model
 A screen at the board, for people who walk by: they ask by touch, keyboard or
 picture, in their language, and a small language model on the board answers.
 Nothing of it needs the internet.
 .
 It brings the page, a broker for it, the unit that shows it in Chromium and
 keeps it there, and a policy that closes what a visitor should not reach.
 .
 From the next start of the board its screen is the page's, and no login's.
"""


def lay_out(source: Path, folder: Path) -> None:
    """Everything. source: a snapshot of the project."""
    units = folder / "usr/lib/systemd/system"
    for name in (*UNITS, *TIMERS):
        tree.put(source / "systemd" / name, units / name, (tree.CHECKOUT_HOME, f"/{tree.HOME}"))
    desktop = folder / "usr/lib/systemd/user" / USERS_UNIT
    tree.put(source / "systemd" / USERS_UNIT, desktop, (tree.CHECKOUT_HOME, f"/{tree.HOME}"))
    for name, place in PLACES.items():
        tree.put(source / "systemd" / name, folder / place)
    for unit in DROP_INS:
        tree.put(source / "systemd/edge-kiosk.edge.conf", units / f"{unit}.d/40-kiosk.conf")
    (folder / SHARED).mkdir(parents=True)
    lists = [source / "deploy/mosquitto/kiosk.acl", source / "systemd/edge-kiosk.acl"]
    (folder / SHARED / "broker.acl").write_text("".join(each.read_text(encoding="utf-8") for each in lists), "utf-8")
    shutil.copytree(source / "deploy/kiosk/dist", folder / SHARED / "page")
    for page in PAGES:
        tree.put(source / page, folder / f"usr/share/doc/{NAME}" / Path(page).name)
    tree.put(source / "deploy/deb/copyright-kiosk", folder / f"usr/share/doc/{NAME}/copyright")


def build(source: Path, folder: Path, version: str, second: int, into: Path) -> Path:
    """The package. version: Debian's. second: what it is dated."""
    lay_out(source, folder)
    tree.lay_changelog(folder, version, pack.MAINTAINER, second, NAME)
    tree.settle(folder, second)
    scripts = source / "deploy/deb/control-kiosk"
    fields = {"version": version, "maintainer": pack.MAINTAINER, "kibibytes": pack.kibibytes(folder)}
    control = CONTROL.format(**fields, depends=", ".join(DEPENDS).format(version=version))
    return pack.close(folder, control, scripts, second, into / f"{NAME}_{version}_all.deb")
