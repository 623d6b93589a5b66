"""The bill of materials: every library once, with its licence, its hashes and what it needs; twice the same."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from deploy.sbom import bill
from deploy.versions import Version

pytestmark = pytest.mark.checkout
VERSION = Version("1.0", "1.0", is_release=True)
HASHES = {"pkg:pypi/big-one@2": ["aa", "bb"], "pkg:pypi/small@1": ["cc"], "pkg:pypi/small@3": ["dd"]}


def wheel(folder: Path, name: str, version: str, *lines: str) -> Path:
    """A wheel with its METADATA alone."""
    path = folder / f"{name}-{version}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        text = "\n".join((f"Name: {name}", f"Version: {version}", *lines))
        archive.writestr(f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.4\n{text}\n\n")
    return path


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    """Two libraries, one of them in two versions, as two Debians may have it."""
    needs = ("Requires-Dist: small>=1", "Requires-Dist: tool; extra == 'test'")
    return [
        wheel(tmp_path, "Big_One", "2", "License-Expression: MIT OR Apache-2.0", *needs),
        wheel(tmp_path, "small", "1", "License: BSD"),
        wheel(tmp_path, "small", "3", "Classifier: License :: OSI Approved :: MIT License"),
    ]


def test_each_library_is_there_with_licence_and_hashes(wheels: list[Path]):
    """By its name as the index has it, each version for itself."""
    components = {each["bom-ref"]: each for each in bill(VERSION, wheels, HASHES, 0)["components"]}
    assert components.keys() == HASHES.keys()
    licences = [each["licenses"][0] for each in components.values()]
    assert licences[0] == {"expression": "MIT OR Apache-2.0"}
    assert licences[1:] == [{"license": {"name": "BSD"}}, {"license": {"name": "MIT License"}}]
    for ref, component in components.items():
        files = [file["hashes"][0]["content"] for file in component["externalReferences"]]
        assert files == HASHES[ref]


def test_what_needs_what_is_told_but_for_extras(wheels: list[Path]):
    """The program needs all; a library what is inside of what it asks for."""
    needs = {each["ref"]: each["dependsOn"] for each in bill(VERSION, wheels, HASHES, 0)["dependencies"]}
    assert needs["pkg:pypi/edge-slm@1.0"] == sorted(HASHES)
    assert needs["pkg:pypi/big-one@2"] == ["pkg:pypi/small@1", "pkg:pypi/small@3"]
    assert needs["pkg:pypi/small@1"] == []


def test_two_bills_of_a_version_are_one(wheels: list[Path]):
    """In whatever order the wheels come; another version has another number."""
    first, again = (bill(VERSION, each, HASHES, 0) for each in (wheels, wheels[::-1]))
    assert first == again
    other = bill(Version("2.0", "2.0", is_release=True), wheels, HASHES, 0)
    assert other["serialNumber"] != first["serialNumber"]
