"""The arm64 package's own files on an emulated board: its command, its bundle's check, and one prompt over MQTT."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.arm.test_engine import CPUINFO, TOOLS
from tests.conftest import ROOT

INSIDE = "python3,libgcc-s1,libstdc++6,zlib1g,dash,coreutils,grep"
"""What the package depends on, but for systemd, and a shell."""
NAMESPACES = ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--kill-child"]

pytestmark = [
    pytest.mark.arm,
    pytest.mark.checkout,
    pytest.mark.timeout(600),
    pytest.mark.skipif("RUN_ARM" not in os.environ, reason="minutes long: make arm-test"),
]


def test_the_package_answers_on_an_arm_board(bundle: Path, tmp_path: Path):
    """Built here without emulation, it runs there: wheels, links and paths are the board's."""
    missing = [tool for tool in (*TOOLS, "dpkg-deb", "ip") if shutil.which(tool) is None]
    if missing or os.getuid():
        pytest.fail(f"needs root and {', '.join(missing) or 'nothing else'}: apt install qemu-user-static mmdebstrap")
    words = ["--release=12", "--architecture=arm64", f"--into={tmp_path}"]
    subprocess.run([sys.executable, "-m", "deploy.deb", *words], cwd=ROOT, check=True)
    root = tmp_path / "root"
    options = ["--quiet", "--variant=extract", "--architectures=arm64", f"--include={INSIDE}"]
    subprocess.run(["mmdebstrap", *options, "bookworm", str(root)], check=True)
    subprocess.run(["dpkg-deb", "-x", str(next(tmp_path.glob("edge-slm_*.deb"))), str(root)], check=True)
    (root / "cpuinfo").write_text("".join(CPUINFO.format(number=number) for number in range(2)))
    command = [*NAMESPACES, "sh", str(Path(__file__).with_name("package.sh")), str(root), str(bundle.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is whole" in done.stdout
    assert "Paris" in done.stdout
    assert done.stdout.splitlines()[-1] == "aarch64"
