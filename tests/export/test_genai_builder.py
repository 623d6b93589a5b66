"""onnxruntime-genai's own model builder on the real SmolLM2: what it makes is adopted and served unchanged.

The builder wants Transformers 5 and onnx_ir, which `make trace-test` installs into its inner environment.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.builder import checkpoint
from edge.__main__ import main
from edge.bundle import open_bundle
from tests.export.small_transformers import is_five

pytestmark = [
    pytest.mark.trace,
    pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed"),
]
ANSWER = 48
ASK = """
import json, sys
from pathlib import Path
import onnxruntime_genai as og
from edge.bundle import read_manifest
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.tokenizer import Tokenizer
built, adopted, count, kind = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
tokenizer, told = Tokenizer(adopted, read_manifest(adopted)), []
engine = BatchedEngine(adopted, Options(prefix_bytes=0, drafts=False)) if kind == "ours" else None
model = None if engine else og.Model(str(built))
for text in json.loads(sys.argv[5]):
    turns = [{"role": "user", "content": text}]
    if engine:
        pieces = []
        answer(engine, Job(1, turns, count), pieces.append)
        told.append("".join(pieces))
        continue
    tokens = tokenizer.encode(turns)
    params = og.GeneratorParams(model)
    params.set_search_options(max_length=len(tokens) + count, do_sample=False)
    generator = og.Generator(model, params)
    generator.append_tokens(tokens)
    while not generator.is_done():
        generator.generate_next_token()
    told.append(tokenizer.text([int(each) for each in generator.get_sequence(0)[len(tokens):]]))
print(json.dumps(told))
"""
TEXTS = '["What is the capital of France?", "Count from one to ten.", "List four rivers of Europe, one on each line."]'


def test_the_builders_int4_folder_is_served_unchanged(tmp_path):
    """Greedy answers of the batched engine are those of onnxruntime-genai's Generator on the same folder.

    Both in processes of their own, with the runtime's flash attention off, as the batched engine has it.
    """
    if not is_five():
        pytest.skip("the builder wants Transformers 5; the inner environment runs this")
    source, built, adopted = checkpoint(tmp_path / "source"), tmp_path / "built", tmp_path / "adopted"
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", str(built)]
    ran([*command, "-p", "int4", "-e", "cpu", "-c", str(tmp_path / "cache")])
    assert main(["bundle", "adopt", str(built), "-o", str(adopted), "--context-length", "2048"]) == 0
    assert open_bundle(adopted).manifest.engine == "batched"
    for file in built.iterdir():
        assert (adopted / file.name).read_bytes() == file.read_bytes()
    asked = [sys.executable, "-c", ASK, str(built), str(adopted), str(ANSWER)]
    ours, theirs = (ran([*asked, kind, TEXTS]) for kind in ("ours", "theirs"))
    assert ours == theirs


def ran(command: list[str]) -> str:
    """A program's last line; it must end well."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "ORT_GQA_DISABLE_FLASH_ATTENTION": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=root, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().rpartition("\n")[2]
