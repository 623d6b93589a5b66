"""/openapi.json: every path is in it, and what it says of them is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from edge.doors.http.app import WAYS
from edge.doors.http.openapi import document
from edge.testing.inside import MemoryInside
from edge.wire.chat import ChatRequest
from tests.edge.doors.http.doors import LARGE, board, bodies, door


def test_it_has_every_path():
    """With its method, as the table has them."""
    paths = document(WAYS)["paths"]
    told = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert told == {(way.method, re.sub(r":\w+\}", "}", way.path)) for way in WAYS}


def test_its_fields_are_the_wires():
    """A field that it names is one, or the door's own."""
    taken = document(WAYS)["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]
    assert set(taken["schema"]["properties"]) <= set(ChatRequest.model_fields) | {"n"}


def test_it_is_served():
    """As it is made."""
    with door(MemoryInside(bodies())) as address:
        assert httpx.get(f"{address}/openapi.json").json() == json.loads(json.dumps(document(WAYS)))


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path):
    """It asks what the document allows and what it does not, and holds each answer to what is said of it."""
    pytest.importorskip("schemathesis")
    limits = {"EDGE_LIMITS__QUEUE_LENGTH": "100", "EDGE_LIMITS__QUEUE_PER_CLIENT": "100"}
    with board(tmp_path, pieces=1, **limits) as made:
        (tmp_path / "schemathesis.toml").write_text(LARGE)
        program = [sys.executable, "-m", "schemathesis.cli", "run", f"{made.address}/openapi.json"]
        options = [
            "--max-examples=60",
            "--seed=1",
            "--checks=all",
            "--generation-allow-x00=false",
            "--no-color",
            "--generation-database=none",
        ]
        done = subprocess.run([*program, *options], capture_output=True, text=True, timeout=280, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-6000:]
        assert "Traceback" not in made.log.read_text()
