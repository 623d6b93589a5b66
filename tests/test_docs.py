"""What the pages say is true: links lead somewhere, commands exist, requests are understood."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from edge.config import describe
from edge.wire.chat import ChatRequest
from edge.wire.message import WIRE_VERSION, Message
from edge.wire.reply import Outcome, terminal
from edge.wire.request import parse_request
from edge.wire.topics import Topics
from tests.conftest import EDGE, ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    """Every relative link is a file or folder of the repository."""
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path):
    """Every `make` target and every `edge` command that a page names."""
    text, makefile = page.read_text(), (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^ {4}|`)(?:sudo )?make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    known = subprocess.run([*EDGE, "--help"], capture_output=True, text=True, check=True).stdout
    for command in re.findall(r"(?:bin/|`)edge ([a-z]+)", text):
        assert re.search(rf"^\s+{command}\b", known, re.MULTILINE), command


def test_the_wire_page_has_every_field_and_its_examples_hold():
    """Each field of a request is in the table; the request is understood; the reply has the keys of a real one."""
    text = (ROOT / "docs/wire.md").read_text()
    assert text.startswith(f"# The wire, version {WIRE_VERSION}\n")
    for name in ChatRequest.model_fields:
        assert f"`{name}`" in text, name
    request, answer = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL))
    asked = parse_request(Message("edge/pi/request", json.dumps(request).encode()), Topics("pi"), 65536)
    assert asked.warnings == ()
    real = json.loads(terminal(asked.address, Outcome(200, "stop")).payload)
    assert real.keys() == answer.keys()
    assert real["timings"].keys() == answer["timings"].keys()


def test_the_example_settings_are_all_the_settings():
    """systemd/edge.toml.example names every key that there is."""
    text = (ROOT / "systemd/edge.toml.example").read_text()
    for path, _meaning in describe():
        assert re.search(rf"^(# )?{path[-1]} =", text, re.MULTILINE), path
