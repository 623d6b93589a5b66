"""No context ends the engine: round ones, odd ones, and those that recipes ship; nor do odd heads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import contexts
from tests.contexts import Case
from tests.export.test_refusals import odd_model

SOME = (16, 17, 31, 63, 64, 65, 100, 127, 128, 129, 191, 192, 193, 240, 255, 256, 257, 299, 300)
TENS = [contexts.EVERY[start : start + 15] for start in range(0, len(contexts.EVERY), 15)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The small Llama, for texts of 4,096 tokens."""
    return contexts.write_source(tmp_path_factory.mktemp("contexts"))


@pytest.mark.parametrize("context", SOME)
def test_some_contexts_to_their_ends(checkpoint, tmp_path, context):
    """Both caches, both forms of rotary tables, prompts and batches at their edges."""
    for number, case in enumerate(contexts.cases([context])):
        assert contexts.deaths(tmp_path / str(number), checkpoint, case) == []


@pytest.mark.slow
@pytest.mark.parametrize("some", TENS, ids=lambda some: f"{some[0]}-{some[-1]}")
def test_every_context_to_its_end(checkpoint, tmp_path, some):
    """The same for all from 16 to 300."""
    for number, case in enumerate(contexts.cases(some)):
        assert contexts.deaths(tmp_path / str(number), checkpoint, case) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", list(contexts.cases(contexts.of_recipes())), ids=str)
def test_every_recipes_context_to_its_end(checkpoint, tmp_path, case):
    """Those that are no multiple of anything as well."""
    assert contexts.deaths(tmp_path / "bundle", checkpoint, case) == []


def test_a_walk_finds_a_context_that_ends_the_engine(checkpoint, tmp_path):
    """A bundle whose rotary tables end before its context does is one."""
    bundle = contexts.write_bundle(tmp_path / "bundle", checkpoint, Case(64, "float", is_long=False))
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"context_length": 64', '"context_length": 100'))
    with pytest.raises(Exception, match="GroupQueryAttention"):
        contexts.walk(bundle, 100, [64, 99], 16, 2)


@pytest.mark.parametrize("cache", contexts.CACHES)
@pytest.mark.parametrize(
    ("heads", "kv_heads", "head"),
    [(1, 1, 16), (3, 1, 48), (5, 5, 80), (9, 3, 16), (7, 7, 112), (6, 2, 96), (4, 1, 256)],
)
def test_odd_heads(checkpoint, tmp_path, cache, heads, kv_heads, head):
    """One head, heads by threes, fives and sevens, from the narrowest that the operator turns to wide ones."""
    hidden = 64 if head < 200 else 1024
    source = odd_model(tmp_path / "source", hidden, head, heads, kv_heads)
    (tmp_path / "text.txt").write_text((checkpoint.parent / "text.txt").read_text())
    bundle = contexts.write_bundle(tmp_path / "bundle", source, Case(65, cache, is_long=False))
    assert contexts.walk(bundle, 65, [1, 32, 63, 64], 16, 3) == []
