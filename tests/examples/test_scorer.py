"""The example of a scorer, installed as its page says, weighs what the real daemon says."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundle import open_bundle
from edge.engine.genai.tokenizer import Tokenizer
from tests.conftest import EDGE, ROOT, embedded_broker, serving

EXAMPLE = ROOT / "docs/examples/scorer"
QUESTION = "Write the word tea, and nothing else, over and over again."


def ask(port: int, *options: str) -> dict:
    """What the daemon replies."""
    command = [
        *EDGE,
        "ask",
        "--device=test",
        f"--broker=127.0.0.1:{port}",
        "--json",
        "--max-tokens=40",
        "--no-loop-guard",
    ]
    done = subprocess.run([*command, *options, QUESTION], capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_example_is_installed_and_asked(tmp_path: Path, bundle: Path):
    """No three tokens come twice where it is asked for; without it they do. One that is not there is 404."""
    install = [
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        str(tmp_path / "it"),
    ]
    subprocess.run([sys.executable, "-m", "pip", *install, str(EXAMPLE)], check=True, timeout=90)
    path = os.pathsep.join([str(tmp_path / "it"), os.environ.get("PYTHONPATH", "")])
    settings = {"PYTHONPATH": path, "EDGE_SCORERS": '{"no-repeat": {}}'}
    ids = Tokenizer(bundle, open_bundle(bundle, verify_hashes=False).manifest).ids
    with embedded_broker(tmp_path) as port, serving(bundle, port, tmp_path, **settings):
        weighed, plain = ask(port, "--scorers=no-repeat"), ask(port)
        missing = ask(port, "--scorers=politeness")
        several = ask(port, "--scorers=no-repeat", "--n=3", "--temperature=1")
        best = ask(port, "--scorers=no-repeat", "--num-beams=3")
    assert (weighed["code"], plain["code"]) == (200, 200)
    assert not repeats(ids(weighed["text"]))
    assert repeats(ids(plain["text"]))
    assert [bool(repeats(ids(each["text"]))) for each in several["choices"]] == [False] * 3
    assert (best["code"], repeats(ids(best["text"]))) == (200, False)
    assert (missing["code"], missing["error"]["param"]) == (404, "scorers")


def repeats(tokens: list[int]) -> bool:
    """Whether three running come twice."""
    threes = list(itertools.pairwise(itertools.pairwise(tokens)))
    return len(set(threes)) < len(threes)
