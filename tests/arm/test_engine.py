"""The real wheels and the default bundle on processors of a Raspberry Pi 3, 4 and 5, emulated by QEMU.

Emulation says nothing about speed, but the kernels are the ones that each processor takes, and their numbers are real.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.download import default_cache
from tests.conftest import ROOT

TOOLS = ("qemu-aarch64-static", "mmdebstrap", "unshare")
PACKAGES = "python3,libgomp1,libstdc++6"
PLATFORMS = ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37))]
"""All wheels that Debian 12 can run, whose glibc is 2.36."""
CPUINFO = """processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""
"""A Pi 5's: onnxruntime does not load where this is an x86's."""
RUN = """
set -e
mount --make-rprivate /
mount -t proc proc "$1/proc"
mount --bind "$1/cpuinfo" "$1/proc/cpuinfo"
mount --bind /dev "$1/dev"
mount --bind "$2" "$1/repository"
mount --bind "$3" "$1/bundle"
exec chroot "$1" /qemu-aarch64-static -cpu "$4" -E PYTHONPATH=/wheels:/repository -E PYTHONDONTWRITEBYTECODE=1 \\
    /usr/bin/python3 /repository/tests/arm/checks.py /bundle
"""

pytestmark = [
    pytest.mark.arm,
    pytest.mark.timeout(600),
    pytest.mark.skipif("RUN_ARM" not in os.environ, reason="minutes long: make arm-test"),
]


@pytest.fixture(scope="module")
def board() -> Path:
    """An arm64 Debian with the daemon's locked wheels, made once and kept in the cache."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.getuid():
        pytest.fail(f"needs root and {', '.join(missing) or 'nothing else'}: apt install qemu-user-static mmdebstrap")
    lock = ROOT / "requirements" / "board.lock"
    root = default_cache() / "arm64-board"
    if (root / "board.lock").is_file() and (root / "board.lock").read_bytes() == lock.read_bytes():
        return root
    shutil.rmtree(root, ignore_errors=True)
    options = ["--variant=extract", "--architectures=arm64", f"--include={PACKAGES}"]
    subprocess.run(["mmdebstrap", "--quiet", *options, "bookworm", str(root)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"--target={root / 'wheels'}"]
    pip += ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3"]
    pip += ["--abi=none", *(f"--platform={each}" for each in PLATFORMS), "--require-hashes", "-r", str(lock)]
    subprocess.run(pip, check=True)
    shutil.copy(str(shutil.which(TOOLS[0])), root)
    for name in ("proc", "dev", "repository", "bundle"):
        (root / name).mkdir(exist_ok=True)
    (root / "cpuinfo").write_text("".join(CPUINFO.format(number=number) for number in range(2)))
    shutil.copy(lock, root)
    return root


@pytest.mark.parametrize("processor", ["cortex-a53", "cortex-a72", "cortex-a76"])
def test_prompts_are_read_as_on_a_workstation(board, bundle, processor):
    """However a prompt is cut its logits are the same to the last bit, and both ways of attention agree."""
    command = ["unshare", "-m", "sh", "-c", RUN, "run", str(board), str(ROOT), str(bundle), processor]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["machine"] == "aarch64"
    assert found["cuts_equal"]
    assert found["first_layer_equal"]
    assert found["kl"] < 0.05
