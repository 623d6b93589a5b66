"""What is handed out, without a browser: its size, its settings' table, its pictures."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.kiosk.measure import page_kb

pytestmark = pytest.mark.checkout
SETTINGS = re.compile(r"^  (\w+): (?:\[|\w+\()", re.MULTILINE)


def test_the_page_is_small():
    """All of it, gzipped."""
    assert page_kb() <= 250


def test_every_setting_is_explained():
    """Each key that the page knows has its place in the table of docs/kiosk.md, and no other key has."""
    source = (ROOT / "deploy/kiosk/source/settings.js").read_text(encoding="utf-8")
    known = set(SETTINGS.findall(source.partition("const KNOWN = {")[2].partition("\n};")[0]))
    table = (ROOT / "docs/kiosk.md").read_text(encoding="utf-8").partition("## Settings")[2].partition("\n## ")[0]
    told = {name for line in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)}
    assert known == told
    assert len(known) > 15


def test_the_pictures_are_small():
    """A page of documentation is no download."""
    pictures = sorted((ROOT / "docs/pictures").glob("kiosk-*.png"))
    assert 4 <= len(pictures) <= 6
    assert all(path.stat().st_size <= 150_000 for path in pictures)
