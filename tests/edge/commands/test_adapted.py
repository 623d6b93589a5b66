"""The default model with adapters beside it, through the real daemon over both brokers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.adapters import ALL, USUAL, written
from edge.bundle import read_manifest
from export.sentences.adding import Additions, enlarge
from tests.clients import User
from tests.conftest import serving

QUESTION = {"prompt": "Tell me about the sea.", "max_tokens": 16, "seed": 3, "temperature": 0.8, "stream": False}


@pytest.fixture(scope="module")
def adapted(bundle, tmp_path_factory) -> Path:
    """The default model's bundle with two seeded adapters that change much."""
    folder = tmp_path_factory.mktemp("adapted")
    adapters = (written(bundle, folder / "first", USUAL, 8, 0.1), written(bundle, folder / "second", ALL, 16, 0.1))
    return enlarge(bundle, Additions(adapters=adapters), folder / "bundle").path


def test_requests_choose_an_adapter(adapted, broker, tmp_path):
    """Each by its name, all at once and again: everybody has the own adapter's answer, and others get a 404."""
    name = read_manifest(adapted).name
    models = {"plain": name, "first": f"{name}:first", "second": f"{name}:second", "third": f"{name}:third"}
    with serving(adapted, broker, tmp_path, EDGE_ENGINE__PACKS="true"), User(broker, "edge/test/info") as watcher:
        watcher.wait_online()
        assert json.loads(watcher.next().payload)["adapters"] == ["first", "second"]
        with User(broker, "edge/test/reply/#") as user:
            rounds = []
            for number in range(2):
                for which, model in models.items():
                    asked = {**QUESTION, "id": f"{which}-{number}", "model": model}
                    user.publish(f"edge/test/request/{which}", asked)
                replies = [json.loads(user.next(60).payload) for _ in models]
                rounds.append({reply["id"].partition("-")[0]: reply for reply in replies})
    for each in rounds:
        assert each["third"]["code"] == 404
        assert "first, second" in each["third"]["error"]["message"]
    texts = [{which: each[which]["text"] for which in ("plain", "first", "second")} for each in rounds]
    assert texts[0] == texts[1]
    assert len(set(texts[0].values())) == 3
