"""Vectors by OpenAI's own client and in Ollama's API, before a real board with a small embedding model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import OpenAI

from tests.conftest import free_port, serving, wait_until
from tests.edge.doors.http.doors import is_there
from tests.export.sentences import small_bert
from tests.vectors import bringing, stored, unpacked

MODEL, TEXTS = "small-bert", list(small_bert.TEXTS)


@pytest.fixture(scope="module")
def address(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a daemon with a model of either kind, and no broker."""
    room, port = tmp_path_factory.mktemp("vectors"), free_port()
    found = f"http://127.0.0.1:{port}"
    with serving(bringing(bundle, room), 1, room, EDGE_HTTP__ADDRESS=f"127.0.0.1:{port}"):
        wait_until(lambda: is_there(found) and httpx.get(f"{found}/health").status_code == 200, 120)
        yield found


@pytest.fixture(scope="module")
def asker(address: str) -> Iterator[OpenAI]:
    """OpenAI's client of it, which asks for base64 unless it is told otherwise."""
    with OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}], ids=["as it asks", "float"])
def test_vectors_are_transformers(asker, more):
    """To 1e-5 of what was stored of Transformers; tokens counted, and told what was cut."""
    made = asker.embeddings.create(model=MODEL, input=TEXTS, user="me", **more)
    assert np.abs(np.array([each.embedding for each in made.data], np.float32) - stored()).max() < 1e-5
    assert [each.index for each in made.data] == list(range(len(TEXTS)))
    assert (made.object, made.model) == ("list", MODEL)
    assert made.usage.prompt_tokens == made.usage.total_tokens > 64
    assert made.model_extra is not None
    assert made.model_extra["edge"]["warnings"] == ["only the first 32 tokens were read of input.3, input.4"]


def test_base64_stays_base64(address):
    """Where a program asks for it by itself."""
    body = {"input": TEXTS[0], "model": MODEL, "encoding_format": "base64"}
    data = httpx.post(f"{address}/v1/embeddings", json=body).json()["data"]
    assert np.abs(unpacked([data[0]["embedding"]]) - stored()[:1]).max() < 1e-5


def test_many_texts_at_once(asker):
    """As many as that API takes, as numbers."""
    made = asker.embeddings.create(model=MODEL, input=["a"] * 2048, encoding_format="float")
    assert len(made.data) == 2048
    assert np.ptp(np.array([each.embedding for each in made.data]), axis=0).max() < 1e-6


def test_the_model_is_listed(asker):
    """Behind the one that answers."""
    assert [each.id for each in asker.models.list().data][1:] == [MODEL]


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"model": "text-embedding-3-small"}, openai.NotFoundError, "model"),
        ({"dimensions": 8}, openai.BadRequestError, "dimensions"),
        ({"input": [1, 2, 3]}, openai.BadRequestError, "input"),
        ({"input": []}, openai.BadRequestError, "input"),
        ({"input": ["a"] * 2049}, openai.BadRequestError, "input"),
    ],
)
def test_what_cannot_be_is_told(asker, fields: dict[str, Any], kind, param):
    """By the class of error that programs look for."""
    with pytest.raises(kind) as error:
        asker.embeddings.create(**{"model": MODEL, "input": "a", **fields})
    assert error.value.body["param"] == param


def test_the_chat_model_makes_none(asker):
    """Its name is another's."""
    with pytest.raises(openai.NotFoundError):
        asker.embeddings.create(model=asker.models.list().data[0].id, input="a")


@pytest.mark.parametrize("name", [MODEL, f"{MODEL}:latest"])
def test_ollamas_way(address, name):
    """A list of vectors, and of the older path one."""
    made = httpx.post(f"{address}/api/embed", json={"model": name, "input": TEXTS, "options": {"num_ctx": 32}}).json()
    assert np.abs(np.array(made["embeddings"], np.float32) - stored()).max() < 1e-5
    assert made["model"] == name
    assert made["prompt_eval_count"] > 64
    one = httpx.post(f"{address}/api/embeddings", json={"model": name, "prompt": TEXTS[0]}).json()
    assert np.abs(np.array(one["embedding"], np.float32) - stored()[0]).max() < 1e-5


def test_ollamas_way_loads_and_refuses(address):
    """No text is no vector, and a text that is not to be cut is refused where it would be."""
    assert httpx.post(f"{address}/api/embed", json={"model": MODEL}).json()["embeddings"] == []
    assert httpx.post(f"{address}/api/embeddings", json={"model": MODEL}).json() == {"embedding": []}
    for path in ("/api/embed", "/api/embeddings"):
        assert httpx.post(f"{address}{path}", json={"model": "nomic"}).status_code == 404
    body = {"model": MODEL, "input": TEXTS[4], "truncate": False}
    assert httpx.post(f"{address}/api/embed", json=body).status_code == 400
    assert httpx.post(f"{address}/api/embed", json={"input": "a"}).status_code == 400
    assert httpx.post(f"{address}/api/embed", json={"model": "nomic", "input": "a"}).status_code == 404


PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
ANY = st.recursive(PLAIN, lambda each: st.lists(each, max_size=2))
FIELDS = ["input", "prompt", "model", "encoding_format", "dimensions", "truncate", "options", "user", "keep"]


@pytest.mark.slow
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(FIELDS), ANY | st.dictionaries(st.text(max_size=2), ANY, max_size=1)))
def test_any_json_is_understood_or_refused(address, body):
    """Never a fault of ours, whatever a field is."""
    for path in ("/v1/embeddings", "/api/embed", "/api/embeddings"):
        assert httpx.post(f"{address}{path}", json=body).status_code in (200, 400, 404, 413)
