"""The phone's inner half on an emulated arm64 Debian without systemd: installed, started, asked, and ended in order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.download import default_cache
from tests.arm.test_engine import CPUINFO, PLATFORMS, TOOLS
from tests.arm.test_package import NAMESPACES
from tests.conftest import ROOT

INSIDE = "python3,python3-venv,ca-certificates,libgomp1,libstdc++6,dash,coreutils,findutils,grep,sed,util-linux"
"""What Debian's image has, and what inside.sh has apt put beside it."""
GIVEN = ("inside.sh", "start.sh", "battery.sh", "edge.toml")

pytestmark = [
    pytest.mark.arm,
    pytest.mark.checkout,
    pytest.mark.timeout(1200),
    pytest.mark.skipif("RUN_ARM" not in os.environ, reason="minutes long: make arm-test"),
]


def given(folder: Path) -> str:
    """What the script hands into Debian; the wheel's name."""
    lock = ROOT / "requirements/board.lock"
    folder.mkdir()
    for name in GIVEN:
        shutil.copy(ROOT / "deploy/phone" / name, folder)
    shutil.copy(lock, folder)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, f"--wheel-dir={folder}", str(ROOT)], check=True)
    return next(folder.glob("edge_slm-*.whl")).name


def wheels() -> Path:
    """The lock's, for arm64, kept in the cache."""
    folder = default_cache() / "arm64-wheels"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}", "--only-binary=:all:"]
    pip += ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none"]
    pip += [f"--platform={each}" for each in PLATFORMS]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements/board.lock")], check=True)
    return folder


def test_a_phones_debian_answers_without_systemd(bundle: Path, tmp_path: Path):
    """By pip from wheels alone; what Android denies is told as denied, not as a figure; SIGTERM ends it with 0."""
    missing = [tool for tool in (*TOOLS, "ip") if shutil.which(tool) is None]
    if missing or os.getuid():
        pytest.fail(f"needs root and {', '.join(missing) or 'nothing else'}: apt install qemu-user-static mmdebstrap")
    root = tmp_path / "root"
    options = ["--quiet", "--variant=extract", "--architectures=arm64", f"--include={INSIDE}"]
    subprocess.run(["mmdebstrap", *options, "bookworm", str(root)], check=True)
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    (root / "etc/ssl/certs/ca-certificates.crt").touch()  # as its package's script does, which has not run here
    (root / "cpuinfo").write_text("".join(CPUINFO.format(number=number) for number in range(2)))
    wheel = given(tmp_path / "install")
    script = str(Path(__file__).with_name("phone.sh"))
    command = [*NAMESPACES, "sh", script, *map(str, (root, tmp_path / "install", wheels(), bundle.resolve(), wheel))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^installed: ", done.stdout, re.MULTILINE)
    assert "Paris" in done.stdout
    told = json.JSONDecoder().raw_decode(done.stdout.partition("status: ")[2])[0]
    telemetry = told["telemetry"]
    assert telemetry["board"]["kind"] == "phone"
    assert "proc/stat" in telemetry["denied"]["cpu"]
    assert "thermal_zone0/temp" in telemetry["denied"]["thermal"]
    assert (telemetry["cpu"] or {}).get("used_percent") is None
    assert telemetry["battery"]["level_percent"] == 80
    assert done.stdout.splitlines()[-1] == "exit status: 0"
    assert "Traceback" not in done.stdout
