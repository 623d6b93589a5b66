"""The arm64 package on an arm64 Debian with a kernel and a systemd of its own, from its file to its first answer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.arm import guest
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.guest,
    pytest.mark.checkout,
    pytest.mark.timeout(1200),
    pytest.mark.skipif("RUN_GUEST" not in os.environ, reason="minutes long: make guest-test"),
]


def test_an_arm_board_answers_within_its_memory(bundle: Path, tmp_path: Path):
    """Dpkg installs it, doctor's limit is the kernel's, one question is answered; less memory ends and restarts it."""
    missing = [tool for tool in guest.TOOLS if shutil.which(tool) is None]
    if missing or os.getuid():
        wanted = ", ".join(missing) or "nothing else"
        pytest.fail(f"needs root and {wanted}: apt install qemu-system-arm mmdebstrap cpio kmod")
    words = [f"--release={guest.RELEASE}", "--architecture=arm64", f"--into={tmp_path / 'packages'}"]
    subprocess.run([sys.executable, "-m", "deploy.deb", *words], cwd=ROOT, check=True)
    console = guest.run(tmp_path, next((tmp_path / "packages").glob("*.deb")), bundle.resolve())
    said = dict(re.findall(r"^guest: (\S+) (.*)$", console, re.MULTILINE))
    assert "done" in said, console
    assert (said["machine"], said["links"].split()) == ("aarch64", ["lo"])
    limit = re.search(r"^MemoryMax=(\d+)M$", console, re.MULTILINE)
    assert limit is not None
    assert int(said["memory.max"]) == int(limit[1]) * 2**20
    assert int(said["memory.peak"]) <= int(said["memory.max"])
    assert "Paris" in said["answer"]
    assert (said["killed.before"], said["killed"] != "0") == ("0", True)
    assert said["again"] == said["answer"]
