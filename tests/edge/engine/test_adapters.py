"""Adapters of the default model: what a seed repeats, rows without one, and the memory that they share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.adapters import ALL, USUAL, written
from edge.bundle import ADAPTER_GRAPH, GRAPH, TOGETHER_GRAPH, WEIGHTS, Bundle, read_manifest
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.engine.graph.packed import SIZES
from edge.engine.graph.session import Graph
from edge.errors import Unsupported
from export.adapters.adding import GRAPH_BYTES
from export.sentences.adding import Additions, enlarge
from tests.edge.engine.test_seed import said, together

pytestmark = pytest.mark.slow  # every day tests/export/test_apart.py, with a small model
KINDS = {"usual": (USUAL, 8), "whole": (ALL, 16), "wide": (("q_proj", "k_proj", "v_proj", "down_proj"), 40)}
"""Of the last, sums come in three parts for one module, and in five for two that are stored as one."""
CUTS = ([150], [7, 143], [2, 148], [140, 10], [33, 117], [64, 64, 22], [17] * 8 + [14])
"""Of a text of 150 tokens."""

ANONYMOUS = """
import os, sys
from pathlib import Path
from edge.bundle import Bundle, read_manifest
from edge.commands.bench_memory import memory_of
from edge.engine.graph.session import Graph
bundle = Path(sys.argv[1])
graph = Graph(Bundle(bundle, read_manifest(bundle)), 0, 2, Path(sys.argv[2]))
print(memory_of(os.getpid())["RssAnon"])
"""


def anonymous_bytes(bundle: Path, folder: Path) -> int:
    """Of a process that has opened a bundle over packed weights that were there."""
    command = [sys.executable, "-c", ANONYMOUS, str(bundle), str(folder)]
    return [int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(2)][1]


@pytest.fixture(scope="module")
def adapted(bundle, tmp_path_factory) -> Path:
    """The default model's bundle with an adapter of each kind."""
    folder = tmp_path_factory.mktemp("adapted")
    adapters = tuple(written(bundle, folder / name, *of) for name, of in KINDS.items())
    return enlarge(bundle, Additions(adapters=adapters), folder / "bundle").path


@pytest.fixture(scope="module")
def graph(adapted) -> Graph:
    """With room for eight texts."""
    return Graph(Bundle(adapted, read_manifest(adapted)), 2, 8)


def read(graph: Graph, tokens: np.ndarray, cuts: list[int], adapter: str) -> tuple[np.ndarray, np.ndarray]:
    """The last logits of a text that is read in slices, and what the cache has of it."""
    graph.caches.array[:, :, 0] = 0
    first = 0
    for count in cuts:
        piece, seen = tokens[None, first : first + count], np.array([first])
        logits = graph.run(0, piece, seen, is_prefill=True, adapter=adapter)[0, -1].copy()
        first += count
    return logits, graph.caches.array[:, :, 0, :, :first].copy()


@pytest.mark.parametrize("adapter", KINDS)
def test_sums_hang_neither_on_slices_nor_on_others(graph, adapter):
    """To the bit: what is read in whatever pieces, and a row beside one and beside seven, guessed or not."""
    tokens = np.random.default_rng(0).integers(5, 40_000, sum(CUTS[0]))
    logits, cache = read(graph, tokens, CUTS[0], adapter)
    for cuts in CUTS[1:]:
        found = read(graph, tokens, cuts, adapter)
        np.testing.assert_array_equal(found[0], logits)
        np.testing.assert_array_equal(found[1], cache)
    seen, made = np.full(8, len(tokens)), []
    for rows in (2, 3, 5, 8):
        graph.caches.array[:, :, :, :, : len(tokens)] = cache[:, :, None]
        made += list(graph.run(0, np.full((rows, 1), 77), seen[:rows], adapter=adapter)[:, 0].copy())
    for guess in (1, 4, 7):
        made.append(graph.run(0, np.array([[77] + [5] * guess]), seen[:1], guess + 1, adapter=adapter)[0, 0].copy())
    for other in made[1:]:
        np.testing.assert_array_equal(other, made[0])


@pytest.fixture(scope="module")
def packed(adapted, tmp_path_factory) -> Graph:
    """Over packed weights, where rows of several adapters have a graph of their own."""
    return Graph(Bundle(adapted, read_manifest(adapted)), 2, 8, tmp_path_factory.mktemp("packed"))


@pytest.mark.parametrize(
    "rows",
    [
        ("usual", ""),
        ("", "whole", "usual"),
        ("whole", "usual", "whole", "", "usual"),
        ("usual", "wide", "", "whole", "wide", "whole"),
    ],
)
def test_rows_of_several_adapters_in_one_run_are_what_they_are_apart(packed, rows):
    """To the bit, logits and cache: in any order, over the same matrices again, and over some that nobody asks for."""
    tokens = np.random.default_rng(1).integers(5, 40_000, 40)
    caches = {name: read(packed, tokens, [40], name)[1] for name in set(rows)}
    assert packed.takes_together(rows)
    seen, wanted = np.full(8, 40), {}
    for name in set(rows):
        packed.caches.array[:, :, :2, :, :40] = caches[name][:, :, None]
        wanted[name] = packed.run(0, np.full((2, 1), 77), seen[:2], adapter=name)[0, 0].copy()
        caches[name] = packed.caches.array[:, :, 0, :, :41].copy()
    for names in (rows, rows, rows[::-1], rows[:2]):
        for slot, name in enumerate(names):
            packed.caches.array[:, :, slot, :, :40] = caches[name][:, :, :, :40]
        found = packed.run(0, np.full((len(names), 1), 77), seen[: len(names)], adapter=names)[:, 0].copy()
        for slot, name in enumerate(names):
            np.testing.assert_array_equal(found[slot], wanted[name])
            np.testing.assert_array_equal(packed.caches.array[:, :, slot, :, :41], caches[name])


def test_too_many_adapters_for_one_run_have_several(bundle, tmp_path):
    """Where sums would be longer than those that are exact, or more than may be copied; each answer is its own."""
    adapters = tuple(written(bundle, tmp_path / name, KINDS["wide"][0], 40) for name in ("one", "two", "three", "four"))
    made = enlarge(bundle, Additions(adapters=adapters), tmp_path / "bundle")
    engine = BatchedEngine(made.path, Options(prefix_bytes=0, drafts=False, cache_folder=str(tmp_path), packs=True))
    graph = engine._graph
    assert graph.takes_together(["one", ""])
    assert not graph.takes_together(["one", "two", "three", "four"])
    jobs = [
        Job(number, [{"role": "user", "content": "Tell me a story."}], 20, temperature=0.9, seed=1, adapter=name)
        for number, name in enumerate(("one", "two", "three", "four"))
    ]
    alone = [said(engine, job) for job in jobs]
    assert together(engine, jobs) == alone


@pytest.mark.parametrize(
    ("adapter", "packs"),
    [
        ("usual", True),
        ("whole", False),
        ("whole", True),
        ("wide", True),
    ],
)
def test_a_seed_repeats(adapted, tmp_path, adapter, packs):
    """Cold and alone, warm after itself, and beside others of the same adapter, of another and of none."""
    kinds = ("", *KINDS)
    texts = [f"Tell me a story about {what}, please. " * 5 for what in ("ships", "hills", "storms", "stars")]
    jobs = [
        Job(number, [{"role": "user", "content": text}], 40, temperature=0.9, seed=number, adapter=name)
        for number, (text, name) in enumerate(zip(texts, [adapter, *kinds[:3]], strict=True))
    ]
    same = Job(9, [{"role": "user", "content": texts[1]}], 40, temperature=0.9, adapter=adapter)
    cold = BatchedEngine(adapted, Options(prefix_bytes=0, drafts=False))
    wanted = said(cold, jobs[0])
    engine = BatchedEngine(adapted, Options(cache_folder=str(tmp_path), packs=packs, drafts=True))
    assert together(engine, [*jobs, same])[0] == wanted
    assert [said(engine, jobs[0]) for _ in range(2)] == [wanted] * 2
    assert together(engine, [same, *jobs[1:], jobs[0]])[-1] == wanted


def test_genai_refuses_an_adapter_by_name_and_answers_without(adapted):
    """Its engine reads the bundle's own graph, in which there are no branches."""
    engine, question = GenaiEngine(adapted, Options()), [{"role": "user", "content": "Hi!"}]
    with pytest.raises(Unsupported, match="runs no adapters"):
        answer(engine, Job(1, question, 4, adapter="usual"))
    assert answer(engine, Job(2, question, 4)).completion_tokens > 0


def test_two_graphs_share_packed_weights(adapted, bundle, tmp_path):
    """Rows without an adapter run the bundle's own graph; all map one file, and take what the manifest reckons them."""
    plain = Graph(Bundle(bundle, read_manifest(bundle)), 2, 2)
    tokens = np.arange(100, 140)
    for _ in range(2):
        graph = Graph(Bundle(adapted, read_manifest(adapted)), 2, 2, tmp_path / "packed")
        for one, other in zip(
            read(graph, tokens, [len(tokens)], ""), read(plain, tokens, [len(tokens)], ""), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        assert not np.array_equal(read(graph, tokens, [len(tokens)], "whole")[0], read(graph, tokens, [40], "")[0])
        del graph
    (folder,) = (tmp_path / "packed").iterdir()
    own = {each.graph for each in read_manifest(adapted).adapters}
    assert len(own) == len(KINDS)
    assert {path.name for path in folder.iterdir()} == {GRAPH, ADAPTER_GRAPH, TOGETHER_GRAPH, WEIGHTS, SIZES} | own
    alone, taken = (anonymous_bytes(*which) for which in ((bundle, tmp_path / "alone"), (adapted, tmp_path / "packed")))
    assert taken - alone < (len(own) + 2) * GRAPH_BYTES < read_manifest(bundle).weights_bytes


def test_packed_weights_of_before_adapters_had_two_graphs_are_made_anew(adapted, tmp_path):
    """A folder in which there is one graph only, as a daemon of before has left it."""
    opened = Bundle(adapted, read_manifest(adapted))
    Graph(opened, 2, 2, tmp_path)
    (folder,) = tmp_path.iterdir()
    sizes = (folder / SIZES).read_text()
    (folder / ADAPTER_GRAPH).rename(folder / GRAPH)
    (folder / SIZES).write_text("{}")
    Graph(opened, 2, 2, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert (folder / SIZES).read_text() == sizes
