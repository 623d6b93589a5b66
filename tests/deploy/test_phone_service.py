"""The phone's service under the real runit, and its daemon under the real proot, which traces every call of it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.conftest import embedded_broker, free_port, wait_until
from tests.deploy.termux import Termux, missing, wait_for_text
from tests.deploy.test_phone import ASK

pytestmark = [
    pytest.mark.arm,
    pytest.mark.checkout,
    pytest.mark.timeout(400),
    pytest.mark.skipif("RUN_ARM" not in os.environ, reason="wants runit and proot: make arm-test"),
]


@pytest.fixture
def termux(tmp_path: Path):
    """With runit's own programs; what it keeps up ends with the test."""
    if wanted := missing("runsv", "sv", "proot", "unshare"):
        pytest.fail(f"needs {wanted}: apt install runit proot")
    made = Termux(tmp_path, has_runit=True)
    yield made
    made.close()


def sv(termux: Termux, *words: str) -> str:
    """What sv says."""
    return termux.run(["sv", "-w", "60", *words]).stdout


@pytest.mark.parametrize("by", ["unshare", "proot"])
def test_it_is_kept_up_and_goes_down_in_order(termux, bundle, tmp_path, by):
    """Up by sv-enable; killed, it comes again; `sv stop` is the daemon's SIGTERM, and it ends with 0 and stays away.

    What proot and the daemon do not agree on would show here: its child, its journal (SQLite), sockets, mapped weights.
    The script itself runs by `unshare`, since Debian's proot (5.1.0) does not know statx, which coreutils calls.
    """
    port = free_port()
    wheel = tmp_path / "edge_slm-1.0-py3-none-any.whl"
    wheel.touch()
    words = ["--wheel", str(wheel), "--bundle", str(bundle), "--broker", f"127.0.0.1:{port}", "--no-battery"]
    proot = shutil.which("proot") or "" if by == "proot" else ""
    done = termux.install(*words)
    assert done.returncode == 0, done.stdout
    log = termux.prefix / "var/log/sv/edge/current"
    sv(termux, "stop", "edge")
    if proot:  # what runs from now on
        run = termux.service / "run"
        run.write_text(run.read_text().replace("unset LD_PRELOAD", f"unset LD_PRELOAD\nexport TERMUX_PROOT={proot}"))
    with embedded_broker(tmp_path, port):
        log.write_text("")
        sv(termux, "up", "edge")
        wait_for_text(log, "online")
        answer = termux.run(["proot-distro", "login", "edge-slm", "--", *ASK, "--broker", f"127.0.0.1:{port}", "2+2?"])
        assert answer.returncode == 0, answer.stdout
        assert answer.stdout.strip()
        log.write_text("")
        first = daemon(termux)
        assert ("TracerPid:\t0\n" in Path(f"/proc/{first}/status").read_text()) is (by != "proot")
        sv(termux, "kill", "edge")  # by control/k
        wait_for_text(log, "online")
        assert daemon(termux) != first
        assert sv(termux, "stop", "edge").startswith("ok: down")
        assert "the daemon ended with exit status 0" in log.read_text()
        wait_until(lambda: "termux-wake-unlock " in termux.calls())
        time.sleep(2)  # runsv would have started it anew after one
        assert sv(termux, "status", "edge").startswith("down")
    assert "Traceback" not in log.read_text()


def test_what_no_restart_mends_is_not_restarted(termux, bundle, tmp_path):
    """A setting that is wrong: exit status 78, and the log says what and that it stays down."""
    wheel = tmp_path / "edge_slm-1.0-py3-none-any.whl"
    wheel.touch()
    assert termux.install("--wheel", str(wheel), "--bundle", str(bundle), "--no-battery").returncode == 0
    sv(termux, "stop", "edge")
    settings = termux.home / "edge-slm/etc/edge.toml"
    settings.write_text(settings.read_text() + "oops =\n")
    log = termux.prefix / "var/log/sv/edge/current"
    log.write_text("")
    sv(termux, "up", "edge")
    said = wait_for_text(log, "not started again until it is mended")
    assert "is not TOML" in said
    wait_until(lambda: sv(termux, "status", "edge").startswith("down"))
    assert termux.install("--uninstall").returncode == 0
    assert list(termux.service.parent.iterdir()) == []


def daemon(termux: Termux) -> int:
    """Its number, which it has written down."""
    return int((termux.home / "edge-slm/run/pid").read_text())
