"""What a package has inside, as a bill of materials: CycloneDX 1.6, in JSON."""

from __future__ import annotations

import email
import re
import time
import uuid
import zipfile
from collections.abc import Iterable
from email.message import Message
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from deploy.versions import Version

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
NAMESPACE = uuid.UUID("d1b2f0a8-6d0c-5a55-9d3e-6b8f0f6f7a11")
"""Of serial numbers that come from a version (RFC 9562, UUIDv5), so that two builds give one file."""
LICENCE_WORDS = 120
"""A `License` field of more characters is the text, not the name."""


def bill(version: Version, wheels: Iterable[Path], hashes: dict[str, list[str]], second: int) -> dict[str, Any]:
    """Of a release. wheels: of every target; hashes: by reference all that the locks allow; second: its date."""
    found = {reference(fields): fields for fields in map(metadata, wheels)}
    components = [component(ref, fields, hashes[ref]) for ref, fields in sorted(found.items())]
    own = f"pkg:pypi/edge-slm@{version.python}"
    product = {"type": "application", "bom-ref": own, "name": "edge-slm", "version": version.python, "purl": own}
    needs = [{"ref": ref, "dependsOn": needed(fields, found)} for ref, fields in sorted(found.items())]
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, version.python)}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)),
            "component": product | {"licenses": [{"license": {"id": "Apache-2.0"}}]},
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": sorted(found)}, *needs],
    }


def metadata(wheel: Path) -> Message:
    """A wheel's own METADATA (core metadata specifications)."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each))
        return email.message_from_bytes(archive.read(name))


def reference(fields: Message) -> str:
    """Its package URL (purl-spec, type pypi); a Debian may have another version than the other."""
    return purl(fields["Name"], fields["Version"])


def purl(name: str, version: str) -> str:
    """Of a library at the index."""
    return f"pkg:pypi/{normal(name)}@{version}"


def component(ref: str, fields: Message, hashes: list[str]) -> dict[str, Any]:
    """One library, with the hash of each of its files that may be inside."""
    files = [{"type": "distribution", "url": f"{ref}#{each}", "hashes": [sha256(each)]} for each in sorted(hashes)]
    name, version = normal(fields["Name"]), fields["Version"]
    entry = {"type": "library", "bom-ref": ref, "name": name, "version": version, "purl": ref}
    return entry | {"licenses": licences(fields), "externalReferences": files}


def sha256(digest: str) -> dict[str, str]:
    """As CycloneDX writes it."""
    return {"alg": "SHA-256", "content": digest}


def licences(fields: Message) -> list[dict[str, Any]]:
    """What a library says of its licence, an expression before a name; empty where it says nothing."""
    if expression := fields.get("License-Expression"):
        return [{"expression": expression}]
    said = (fields.get("License") or "").strip()
    classifiers = [each for each in fields.get_all("Classifier") or [] if each.startswith("License ::")]
    names = [said] if 0 < len(said) < LICENCE_WORDS else [each.rpartition(":: ")[2] for each in classifiers]
    return [{"license": {"name": name}} for name in names if name]


def needed(fields: Message, found: Iterable[str]) -> list[str]:
    """References of what a library wants, as far as it is inside; without extras."""
    wanted = map(Requirement, fields.get_all("Requires-Dist") or [])
    names = {normal(each.name) for each in wanted if each.marker is None or "extra" not in str(each.marker)}
    return sorted(ref for ref in found if ref.removeprefix("pkg:pypi/").partition("@")[0] in names)


def normal(name: str) -> str:
    """As the index spells it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
