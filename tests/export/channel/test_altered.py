"""What somebody without a key has put into the folder is never signed by who has one."""

from __future__ import annotations

import json
import shutil

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from tests.export.channel.test_channel import NAME, Publisher


@pytest.fixture
def publisher(tmp_path) -> Publisher:
    """With a bundle in canary."""
    publisher = Publisher(tmp_path / "publisher").init()
    assert publisher.run("add", publisher.bundle("1"), "--channel", "canary") == 0
    return publisher


def refused(publisher: Publisher, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """Nothing is published, and it is said why."""
    before = sorted(publisher.repository.rglob("*"))
    capsys.readouterr()
    assert publisher.run(*words) == 78
    assert "was altered" in capsys.readouterr().err
    assert sorted(publisher.repository.rglob("*")) == before


def test_an_index_is_not_promoted(publisher, capsys):
    """Nor signed by taking the newer one back, nor believed about which chunks are in use."""
    file = next(publisher.repository.glob("targets/canary/*/*.1.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"memory_floor_bytes": 7}))
    refused(publisher, capsys, "promote", NAME, "1")
    assert publisher.run("gc", "--days", "0", keys=False) == 78


def test_a_key_is_not_certified(publisher, capsys):
    """Put among those of a channel it would publish there once the drawer's key has signed it."""
    file = publisher.repository / "metadata/1.targets.json"
    other = CryptoSigner.generate_ed25519()
    metadata = Metadata.from_file(str(file))
    metadata.signed.add_key(other.public_key, "stable")
    metadata.to_file(str(file))
    refused(publisher, capsys, "refresh", "--role", "targets")


def test_a_whole_world_of_other_keys_is_not_signed(publisher, capsys):
    """One that agrees with itself, and names our keys beside its own."""
    other = CryptoSigner.generate_ed25519()
    metadata = publisher.repository / "metadata"
    for role, above in (("root", "root"), ("targets", "root"), ("canary", "targets")):
        file = metadata / f"1.{above}.json"
        found = Metadata.from_file(str(file))
        found.signed.add_key(other.public_key, role)
        found.sign(other)
        found.to_file(str(file))
    file = metadata / "2.canary.json"
    found = Metadata.from_file(str(file))
    found.signed.targets.clear()
    found.sign(other)
    found.to_file(str(file))
    for role in ("root", "targets", "canary"):
        refused(publisher, capsys, "refresh", "--role", role)


def test_an_older_state_in_the_place_of_a_newer_one_is_not_signed(publisher, capsys):
    """A channel's metadata of yesterday, under today's name."""
    assert publisher.run("add", publisher.bundle("2"), "--channel", "canary") == 0
    metadata = publisher.repository / "metadata"
    shutil.copy(metadata / "2.canary.json", metadata / "3.canary.json")
    refused(publisher, capsys, "promote", NAME, "1")
