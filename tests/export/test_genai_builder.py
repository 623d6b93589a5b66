"""onnxruntime-genai's own model builder on the real SmolLM2: what it makes is adopted and served unchanged.

The builder wants Transformers 5 and onnx_ir, which `make trace-test` installs into its inner environment.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from benchmarks.adopted import adopted_and_asked, build, int8_cache
from benchmarks.builder import checkpoint
from edge.bundle import open_bundle
from tests.export.small_transformers import is_five

pytestmark = [
    pytest.mark.trace,
    pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed"),
]


@pytest.mark.parametrize("cache", ["float32", "int8"])
def test_the_builders_int4_folder_is_served_unchanged(tmp_path, cache):
    """Greedy answers of the batched engine are those of onnxruntime-genai's Generator on the same folder.

    Both in processes of their own, with the runtime's flash attention off, as the batched engine has it.
    """
    if not is_five():
        pytest.skip("the builder wants Transformers 5; the inner environment runs this")
    options = int8_cache(tmp_path) if cache == "int8" else ()
    built = build(checkpoint(tmp_path / "source"), tmp_path / "built", options, Path(sys.executable))
    ours, theirs = (adopted_and_asked(built, kind) for kind in ("ours", "theirs"))
    manifest = open_bundle(tmp_path / "built-adopted").manifest
    assert (manifest.engine, manifest.kv_cache) == ("batched", cache)
    for file in built.iterdir():
        assert (tmp_path / "built-adopted" / file.name).read_bytes() == file.read_bytes()
    assert ours == theirs
