"""Files of /proc and /sys: four outcomes, and no file that makes a look wait or grow."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge.board.clock import POLICIES, steps_hertz
from edge.board.files import BYTES_MAX, Files, contents
from edge.testing import write_tree


def test_a_value_is_the_only_number(tmp_path):
    """Absent is nobody's trouble, what is no number is a failure."""
    files = Files(write_tree(tmp_path, {"a": "-12\n", "b": "twelve\n", "c": ""}))
    assert [files.count(name) for name in "abcd"] == [-12, None, None, None]
    assert (files.denied, set(files.failed)) == ({}, {"b", "c"})


@pytest.mark.parametrize("code", ["EAGAIN", "EINVAL", "EIO", "ENODATA", "ENXIO", "ETIMEDOUT"])
def test_a_sensor_that_sleeps_or_fails_is_a_failure_with_its_name(code, tmp_path):
    """Whatever the driver's word for it."""
    number = getattr(errno, code)

    def read(path):
        raise OSError(number, os.strerror(number))

    files = Files(tmp_path, read)
    assert files.count("temp") is None
    assert files.failed["temp"].startswith(f"{code}: ")


@pytest.mark.parametrize(
    ("code", "is_denied"), [("EACCES", True), ("EPERM", True), ("ENOENT", False), ("ENODEV", False)]
)
def test_denied_is_not_absent(code, is_denied, tmp_path):
    """And neither is a failure."""

    def read(path):
        raise OSError(getattr(errno, code), "no")

    files = Files(tmp_path, read)
    assert files.text("temp") is None
    assert (bool(files.denied), files.failed) == (is_denied, {})


def test_no_file_makes_a_look_wait_or_grow(tmp_path):
    """A pipe without a writer gives nothing; of a file without end the beginning is read, and is no number."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").write_bytes(b"1" * (1 << 20))
    assert contents(tmp_path / "pipe") == b""
    assert len(contents(tmp_path / "huge")) == BYTES_MAX
    files = Files(tmp_path)
    assert files.count("huge") is None
    assert len(files.failed["huge"]) < 100


def test_of_a_file_of_proc_more_than_a_page_is_read():
    """A single read there gives a page at most."""
    assert len(contents(Path("/proc/self/maps"))) > os.sysconf("SC_PAGE_SIZE")


def test_names_in_the_order_in_which_people_count(tmp_path):
    """Through folders between, and past what is no folder."""
    files = Files(write_tree(tmp_path, {"sys/z10/n": "", "sys/z9/n": "", "sys/other/n": "", "sys/z1": ""}))
    assert files.names("sys", "z*") == ["sys/z1", "sys/z9", "sys/z10"]
    assert files.names("sys", "z*/n") == ["sys/z9/n", "sys/z10/n"]
    assert (files.names("nowhere"), files.failed) == ([], {})


def test_a_name_that_only_looks_like_a_number_is_a_name(tmp_path):
    """A superscript is a digit to Unicode, and no number to Python."""
    write_tree(tmp_path, {f"sys/{name}": "" for name in ("zone²", "zone1²3", "zone10", "²")})
    assert len(Files(tmp_path).names("sys")) == 4
    write_tree(tmp_path, {f"{POLICIES}/policy0/scaling_available_frequencies": "² 1000 " + "9" * 5000})
    assert steps_hertz(Files(tmp_path)) == [1_000_000]


def test_a_link_in_a_circle_is_a_failure(tmp_path):
    """Listed as well as read."""
    (tmp_path / "loop").symlink_to("loop")
    files = Files(tmp_path)
    assert (files.text("loop"), files.names("loop")) == (None, [])
    assert files.failed["loop"].startswith("ELOOP")
