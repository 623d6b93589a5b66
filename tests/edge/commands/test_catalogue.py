"""Names of models: the catalogue is true to the recipes and to the bundle that is here, and a wrong name is helped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.bundle import read_manifest
from edge.commands.bundle_places import size_of
from edge.commands.catalogue import SHIPPED, Entry, named, read_catalogue
from edge.errors import ConfigError, UsageError
from export.estimate import as_fields, needs, room
from export.plan import plan_of
from export.recipe import recipes
from export.source.config_only import ConfigSource
from tests.conftest import ROOT

ENTRIES = {entry.name: entry for entry in read_catalogue()}
OWN = """
[ours]
aliases = ["our-model", "phi3"]
export = "./model"
options = ["--method", "rtn"]
bundle = "ours-instruct"
licence = "ours"
bundle_bytes = 1000
source_bytes = 1000
memory_bytes = 1000
context_length = 64
"""


def test_every_recipe_with_a_source_has_a_name_and_every_name_a_recipe():
    """What can be had without a file of one's own is in the catalogue; nothing else is."""
    to_be_had = {name for name, recipe in recipes().items() if recipe.repository or recipe.wheel}
    assert {entry.export for entry in ENTRIES.values()} == to_be_had


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_says_what_its_recipe_says(name: str):
    """Bundle's name, licence, context; and sizes as the export reckons them, where the recipe has the model's."""
    entry = ENTRIES[name]
    recipe = recipes()[entry.export]
    said = (entry.bundle, entry.licence, entry.context_length)
    assert said == (recipe.name, recipe.licence, recipe.context_length)
    if recipe.config:
        plan = plan_of(ConfigSource(name, recipe.config), recipe)
        reckoned = as_fields(plan, needs(plan), room(Path("/")))
        assert entry.bundle_bytes == pytest.approx(reckoned["bundle_bytes"], rel=0.1)
        assert entry.memory_bytes == pytest.approx(reckoned["floor_bytes"], rel=0.02)


def test_the_table_of_what_is_supported_has_the_catalogues_figures():
    """Each model that has a name, with its context, its size and its memory."""
    table = (ROOT / "docs/support.md").read_text()
    for name, entry in ENTRIES.items():
        sizes = " | ".join(f"{size / 1e9:.2f} GB" for size in (entry.bundle_bytes, entry.memory_bytes))
        assert f"| `{name}` | {entry.context_length:,} | {sizes} |" in table


def test_the_default_models_entry_is_true_to_its_bundle(bundle: Path):
    """To the byte of the memory, and to a per cent of the size; the Makefile has it where `edge run` looks."""
    entry, manifest = ENTRIES["smollm2-135m"], read_manifest(bundle)
    assert (entry.bundle, entry.context_length) == (manifest.name, manifest.context_length)
    assert entry.memory_bytes == manifest.memory_floor_bytes
    assert entry.bundle_bytes == pytest.approx(size_of(bundle, manifest), rel=0.01)
    assert re.search(rf"^BUNDLE := \$\(CACHE\)/bundles/{entry.place}$", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("word", "name"),
    [("smollm2", "smollm2-135m"), ("Phi3.5", "phi-3.5-mini-instruct"), ("phi-3.5-mini", "phi-3.5-mini-instruct")],
)
def test_a_name_and_its_aliases_in_any_case(word: str, name: str):
    """All lead to one model."""
    assert named(word, read_catalogue()).name == name


def test_an_unknown_name_is_offered_the_nearest():
    """Or told that there is none; what is shown of it is bounded."""
    with pytest.raises(UsageError, match=r"did you mean phi-3\.5-mini-instruct"):
        named("phi-3.5-minni", read_catalogue())
    with pytest.raises(UsageError, match="no name is like it"):
        named("x" * 1000, read_catalogue())


def test_a_catalogue_of_ones_own_comes_first(tmp_path: Path):
    """Its names hide ours, its paths begin beside it, and it is held to the same form."""
    file = tmp_path / "own.toml"
    file.write_text(OWN)
    entries = read_catalogue(file)
    assert named("phi3", entries).name == named("OUR-MODEL", entries).name == "ours"
    assert named("ours", entries).source == str(tmp_path / "model")
    assert named("smollm2", entries).name == "smollm2-135m"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[ours", "is no catalogue"),
        ("ours = 1", "is no table"),
        (OWN.replace("1000", "-1"), r"\[ours\] bundle_bytes"),
        (OWN + "more = 1", r"\[ours\] more: Extra"),
        (OWN.replace('"ours-instruct"', '"../../etc"'), r"\[ours\] bundle: String"),
        (OWN + OWN.replace("[ours]", "[theirs]"), "both ours and theirs are called"),
        ("#" * (2 << 20), "too much"),
    ],
)
def test_a_catalogue_that_is_wrong_is_refused(tmp_path: Path, text: str, why: str):
    """The error names the file, the model and the field."""
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=why) as caught:
        read_catalogue(file)
    assert str(file) in str(caught.value)


def test_the_shipped_catalogue_is_beside_the_code():
    """As a wheel has it."""
    assert SHIPPED.is_file()
    assert all(isinstance(entry, Entry) for entry in ENTRIES.values())
