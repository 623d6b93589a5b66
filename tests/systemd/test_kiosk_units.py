"""The kiosk's units and its browser's policy, as files; booted they are in test_kiosk.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.systemd.test_unit import needs_systemd

pytestmark = pytest.mark.checkout
SYSTEMD = ROOT / "systemd"
SERVICES = ("edge-kiosk.service", "edge-kiosk-broker.service", "edge-kiosk-screen@.service")
TIMERS = ("edge-kiosk-screen@on.timer", "edge-kiosk-screen@off.timer")
DESKTOP = "edge-kiosk-desktop.service"
POLICY = json.loads((SYSTEMD / "edge-kiosk.policy.json").read_text())


def copied(folder: Path) -> None:
    """The units, with programs that are here: systemd looks for them."""
    for path in SYSTEMD.glob("edge-kiosk*.*"):
        if path.suffix in (".service", ".timer"):
            text = path.read_text().replace("/opt/edge-slm/venv/bin/python", sys.executable)
            (folder / path.name).write_text(text)


@needs_systemd
@pytest.mark.parametrize("name", [*(name.replace("@.", "@off.") for name in SERVICES), *TIMERS])
def test_a_unit_has_no_error(tmp_path: Path, name):
    """systemd-analyze verify has nothing to say; of units beside ours that are not installed it says nothing either."""
    copied(tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / name)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_desktops_unit_has_no_error(tmp_path: Path):
    """It is a user's."""
    copied(tmp_path)
    command = ["systemd-analyze", "--user", "verify", str(tmp_path / DESKTOP)]
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_the_sandbox_is_tight(tmp_path: Path, name):
    """systemd-analyze security stays under 2.0 of 10, a browser's own sandbox within it and all."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(SYSTEMD / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-300:]


def settings(name: str) -> dict[str, list[str]]:
    """What a unit says, by key."""
    said: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", (SYSTEMD / name).read_text(), re.MULTILINE):
        said.setdefault(key, []).append(value)
    return said


def test_a_desktop_runs_the_same_command():
    """Under cage and without it: the same watched browser, with the same final exit statuses."""
    screen, desktop = settings("edge-kiosk.service"), settings(DESKTOP)
    assert screen["ExecStart"][0].replace(" --cage", "") == desktop["ExecStart"][0]
    for key in ("RestartPreventExitStatus", "WatchdogSec", "TimeoutStopSec", "EnvironmentFile"):
        assert screen[key] == desktop[key]
    assert screen["Environment"][0] == desktop["Environment"][0]


def test_the_browser_keeps_its_own_sandbox():
    """Nowhere is it switched off, and the unit leaves it what it wants."""
    for path in [*SYSTEMD.glob("edge-kiosk*"), *(ROOT / "edge/commands").glob("kiosk_*.py")]:
        assert "--no-sandbox" not in path.read_text(), path
    assert settings("edge-kiosk.service")["RestrictNamespaces"] == ["user pid net"]


def test_every_setting_has_its_default_in_the_unit():
    """kiosk.env may be missing, and says what the units say."""
    example = dict(re.findall(r"^(KIOSK_\w+)=(.*)$", (SYSTEMD / "edge-kiosk.env").read_text(), re.MULTILINE))
    units = (
        settings("edge-kiosk.service")["Environment"][0] + " " + settings("edge-kiosk-broker.service")["Environment"][0]
    )
    assert dict(re.findall(r"(KIOSK_\w+)=(\S*)", units)) == example
    assert example["KIOSK_URL"].rstrip("/") in POLICY["URLAllowlist"]


def test_the_policy_lets_the_page_alone():
    """What is allowed is on this board's loopback; the watcher's pipe is not closed with the tools."""
    for key in ("URLAllowlist", "VideoCaptureAllowedUrls"):
        assert POLICY[key] == ["http://127.0.0.1:9001", "http://localhost:9001"]
    assert {"*", "chrome://*", "devtools://*", "view-source:*"} == set(POLICY["URLBlocklist"])
    assert POLICY["RemoteDebuggingAllowed"] is True
    assert "DeveloperToolsAvailability" not in POLICY


ALONE = """
mount --make-rprivate / && mount -t tmpfs tmpfs /etc/chromium && mkdir -p /etc/chromium/policies/managed /etc/chromium.d
cat > /etc/chromium/policies/managed/edge-kiosk.json
exec "$@"
"""
OLDER = {"AutofillAddressEnabled", "AutofillCreditCardEnabled"}
"""Deprecated for one that older Chromiums do not know; in force all the same."""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("chromium") is None, reason="needs root and Chromium")
def test_chromium_knows_every_policy(tmp_path: Path):
    """chrome://policy says OK of each, where that page is let through; nobody else's Chromium sees this policy."""
    text = json.dumps(POLICY | {"URLBlocklist": ["devtools://*", "view-source:*"]})
    words = ["unshare", "--mount", "sh", "-c", ALONE, "sh", sys.executable, "-m", "tests.systemd.kiosk_policies"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=True, env=environment, timeout=120)
    found = {name: said for name, said in json.loads(done.stdout).items() if said != "Not set."}
    assert {name for name, said in found.items() if said != "OK"} <= OLDER
    assert set(POLICY) <= set(found)
