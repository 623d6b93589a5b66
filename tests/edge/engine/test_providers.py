"""Execution providers: a row each, no branch on a name elsewhere, and nobody is answered on another in silence."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from edge.bundle import Provider
from edge.commands.doctor_providers import providers, seen
from edge.config import Engine, Settings
from edge.engine import Options
from edge.engine.genai.engine import GenaiEngine
from edge.engine.graph.plugins import devices
from edge.engine.opening import open_engine
from edge.engine.providers import ROWS, Row, row_of
from edge.errors import BundleError, ConfigError
from export.errors import UnsupportedError
from export.families import family_of
from export.plan import check_provider
from export.recipe import Recipe
from tests.conftest import ROOT

BRANCH = re.compile(r"""provider\s*[!=]=\s*["']|["']\s*[!=]=\s*[\w.]*provider\b|provider\s+(not )?in\s*[({\[]""")
PLUGIN = next(row for row in ROWS if row.name == "webgpu")


def test_every_name_has_one_row():
    """What settings and manifests may say, the table knows."""
    assert [row.name for row in ROWS] == list(get_args(Provider))
    assert {field.name for field in fields(Options)} >= {"provider"}
    with pytest.raises(ConfigError, match="there is no provider abacus: it is one of cpu, cuda, "):
        row_of("abacus")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_whole(row):
    """Where an engine answers nothing is lacking, and where none does it says why."""
    assert bool(row.kinds) != bool(row.lacks)
    assert not (row.module and row.extra)
    assert row.genai_name or "genai" not in row.kinds or row.name == ROWS[0].name
    assert row.distribution in row.package
    assert row.how_to_install.startswith("`pip install ")


@pytest.mark.checkout
def test_no_branch_on_a_providers_name():
    """Whoever wants to know something of one asks its row."""
    sources = [path for folder in ("edge", "export") for path in (ROOT / folder).rglob("*.py")]
    assert [path for path in sources if BRANCH.search(path.read_text())] == []


def test_where_no_engine_answers(tmp_path):
    """Its row says why, before anything is read; the same reason keeps a bundle from being made."""
    for row in (row for row in ROWS if not row.kinds):
        with pytest.raises(ConfigError, match=f"no engine answers on the provider {row.name}: {row.lacks}"):
            open_engine(tmp_path, Options(provider=row.name))
        with pytest.raises(UnsupportedError, match=f"no bundle is made for the provider {row.name}: {row.lacks}"):
            check_provider(family_of("llama"), Recipe(licence="none", provider=row.name))


def test_an_int8_cache_where_the_provider_has_none():
    """It is refused when the bundle is planned; left to the export, the cache is in floats."""
    check_provider(family_of("llama"), Recipe(licence="none", provider=PLUGIN.name))
    with pytest.raises(UnsupportedError, match="webgpu keeps no keys and values in int8"):
        check_provider(family_of("llama"), Recipe(licence="none", provider=PLUGIN.name, kv_cache="int8"))


def test_nobody_is_answered_on_the_cpu_instead(bundle):
    """A runtime without the provider refuses, and one that went to the CPU in silence would be refused, too."""
    with pytest.raises(BundleError, match=r"cannot load .* on cuda: Cuda interface not available"):
        GenaiEngine(bundle, Options(provider="cuda"))


def test_a_plugin_that_is_not_installed(bundle):
    """The line that installs it is in the error, and in doctor's finding."""
    if PLUGIN.is_installed:
        pytest.skip("it is installed here")
    with pytest.raises(ConfigError, match=r"webgpu needs onnxruntime-ep-webgpu, .*: `pip install --no-deps 'onnx"):
        GenaiEngine(bundle, Options(provider=PLUGIN.name))
    found = list(providers(Settings(engine=Engine(provider=PLUGIN.name))))
    assert found[0].grade == "BAD"
    assert found[0].text.startswith("webgpu is not installed: `pip install --no-deps")
    assert {each.grade for each in found[1:]} == {"ok"}
    assert "cpu is there: onnxruntime" in [each.text for each in found]


def test_doctor_with_a_provider_that_nothing_answers_on():
    """It is BAD whether it is there or not."""
    first = next(iter(providers(Settings(engine=Engine(provider="openvino")))))
    assert first.grade == "BAD"
    assert "no engine answers on it: it offers Intel's devices alone" in first.text


def installed(folder: Path, row: Row, body: str) -> None:
    """A package of the provider's name, whose module is this."""
    (folder / f"{row.module}.py").write_text(body)
    info = folder / f"{row.module}-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {row.distribution}\nVersion: 9.9\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def get_library_path(): return __file__", "does not load (exit status 1): "),
        ("import os\nos.abort()", "does not load (exit status -6)"),
    ],
    ids=["no library", "crashes"],
)
def test_a_plugin_that_does_not_load(tmp_path, monkeypatch, body, said):
    """What doctor tells of it; a crash is the child's alone."""
    installed(tmp_path, PLUGIN, body)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])))
    assert PLUGIN.is_installed
    with pytest.raises(ConfigError) as refused:
        devices(PLUGIN)
    assert said in str(refused.value)
    assert seen(PLUGIN) == (f"webgpu: {refused.value}", False)
    assert PLUGIN.module not in sys.modules
