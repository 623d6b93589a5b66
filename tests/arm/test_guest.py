"""The arm64 package on an arm64 Debian with a kernel and a systemd of its own, from its file to its first answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.arm import guest

pytestmark = [
    pytest.mark.guest,
    pytest.mark.checkout,
    pytest.mark.timeout(1200),
    pytest.mark.skipif("RUN_GUEST" not in os.environ, reason="minutes long: make guest-test"),
]


def test_an_arm_board_answers_within_its_memory(bundle: Path, tmp_path: Path):
    """Dpkg installs it, doctor's limit is the kernel's, one question is answered; less memory ends and restarts it."""
    if wanted := guest.missing():
        pytest.fail(f"needs {wanted}")
    said = guest.tried(tmp_path, bundle)
    assert (said["machine"], said["links"].split()) == ("aarch64", ["lo"])
    assert int(said["memory.max"]) == int(said["limit"]) * 2**20
    assert int(said["memory.peak"]) <= int(said["memory.max"])
    assert "Paris" in said["answer"]
    assert (said["killed.before"], said["killed"] != "0") == ("0", True)
    assert said["again"] == said["answer"]
