"""Several real bundles behind one daemon: each asked by its name, over HTTP and over MQTT, and let go again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest

from tests import vectors
from tests.clients import User
from tests.conftest import embedded_broker, free_port, serving, wait_until
from tests.edge.doors.http.doors import is_there

TURNS = [{"role": "user", "content": "Name a colour."}]
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 12, "messages": TURNS}
TEXTS = ["a short question", "the import statement"]
KEPT_SECONDS = 2
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@dataclass
class House:
    """A daemon with four bundles: the default one, the same as `twin`, one that sees, `eyes`, and `sentences`.

    The last is the default one once more, with an embedding model.
    """

    address: str
    port: int
    pid: int

    def processes(self) -> int:
        """Engines that run."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(b"edge.engine" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)

    def stands(self) -> dict[str, bool]:
        """Which are in memory, as Ollama's API tells it."""
        found = httpx.get(f"{self.address}/api/ps").json()["models"]
        return {each["name"].partition(":")[0]: True for each in found}


@pytest.fixture(scope="module")
def house(bundle: Path, vision_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests here."""
    folder = tmp_path_factory.mktemp("models")
    places = {"twin": bundle, "eyes": vision_bundle, "sentences": vectors.bringing(bundle, folder)}
    models = {name: {"bundle": str(path)} for name, path in places.items()}
    for each in models.values():
        each["keep_alive_seconds"] = KEPT_SECONDS  # type: ignore[assignment]
    with embedded_broker(folder) as port:
        own = free_port()
        settings = {"EDGE_HTTP__ADDRESS": f"127.0.0.1:{own}", "EDGE_MODELS": json.dumps(models)}
        with serving(bundle, port, folder, **settings) as daemon:
            made = House(f"http://127.0.0.1:{own}", port, daemon.process.pid)
            wait_until(lambda: is_there(made.address) and httpx.get(f"{made.address}/health").status_code == 200, 120)
            yield made


@pytest.fixture
def asker(house: House) -> Iterator[openai.OpenAI]:
    """OpenAI's client."""
    with openai.OpenAI(base_url=f"{house.address}/v1", api_key="none", max_retries=0, timeout=120) as found:
        yield found


def test_each_answers_by_its_name_and_goes(house, asker):
    """The twin says what the bundle says, in a process of its own, which ends when nobody asks for it."""
    own = asker.chat.completions.create(model="smollm2-135m-instruct", **GREEDY)
    twin = asker.chat.completions.create(model="twin", **GREEDY)
    assert (own.choices[0].message.content, own.usage) == (twin.choices[0].message.content, twin.usage)
    assert (own.model, twin.model) == ("smollm2-135m-instruct", "twin")
    assert house.processes() == 2
    wait_until(lambda: house.processes() == 1)
    assert house.stands() == {"smollm2-135m-instruct": True}
    again = asker.chat.completions.create(model="twin", **GREEDY)
    assert again.choices[0].message.content == own.choices[0].message.content


def test_all_are_listed(house, asker):
    """With both APIs, and what each can do."""
    listed = [each.id for each in asker.models.list()]
    assert listed[:4] == ["smollm2-135m-instruct", "twin", "eyes", "sentences"]
    client = ollama.Client(house.address)
    assert {"twin:latest", "eyes:latest"} <= {each.model for each in client.list().models}
    assert "vision" in client.show("eyes").capabilities
    assert "vision" not in client.show("twin").capabilities


def test_ollamas_way_to_load_and_let_go(house):
    """An empty prompt loads; with keep_alive it stays so long; with 0 it goes."""
    client = ollama.Client(house.address)
    assert client.generate("twin", keep_alive="10m").done_reason == "load"
    wait_until(lambda: "twin" in house.stands())
    assert client.generate("twin", "Hi", options={"num_predict": 3}).response
    assert client.generate("twin", keep_alive=0).done_reason == "unload"
    wait_until(lambda: "twin" not in house.stands())
    with pytest.raises(ollama.ResponseError, match="keep_alive"):
        client.generate("twin", "Hi", keep_alive="soon")


def test_over_mqtt_and_with_a_picture(house):
    """A picture for the one that sees is answered, though the board's own reads text alone; what there is, is told."""
    picture = "data:image/png;base64," + PNG
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": picture}}]
    with User(house.port, "edge/test/reply") as user:
        turns = [{"role": "user", "content": content}]
        for model, code in (("eyes", 200), ("smollm2-135m-instruct", 415)):
            user.publish("edge/test/request", {"id": model, "model": model, "messages": turns, "max_tokens": 2})
            assert user.answer(name=model)[1]["code"] == code


def test_vectors_beside_a_chat_model(house, asker):
    """By the bundle that brings an embedding model, named by either name, with both APIs; it goes as the others do."""
    brought = [each.id for each in asker.models.list()][-1]
    assert brought != "sentences"
    by_bundle, by_model = (asker.embeddings.create(model=name, input=TEXTS) for name in ("sentences", brought))
    made = [each.embedding for each in by_bundle.data]
    assert made == [each.embedding for each in by_model.data]
    by_ollama = ollama.Client(house.address).embed("sentences", TEXTS[0])
    assert by_ollama.embeddings[0] == pytest.approx(made[0], abs=1e-5)
    with pytest.raises(openai.APIStatusError):
        asker.embeddings.create(model="twin", input="a short question")
    wait_until(lambda: house.processes() == 1)
