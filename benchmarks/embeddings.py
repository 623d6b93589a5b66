"""Vectors over MQTT and by OpenAI's client beside the reference's; what answers and vectors cost each other."""

from __future__ import annotations

import base64
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import embeddings_others, embeddings_texts
from benchmarks.figure import Figure
from export.sentences.adding import Additions, enlarge
from export.sentences.known import KNOWN, folder_of
from tests.clients import User
from tests.conftest import embedded_broker, free_port, serving

Vectors = NDArray[np.float32]
AT_ONCE = 64
"""Texts of a request over MQTT: what a broker takes of as many vectors."""
ANSWER_TOKENS, ROUNDS, SHORT = 64, 5, "What does error E42 mean?"
LONG = ["the pump stops when the tank is full, and the valve is closed by hand " * 8] * 120
"""Texts that keep the embedding model at work for longer than an answer takes."""


def texts() -> list[str]:
    """Those that the model's format was tried with, and as many others."""
    return [*embeddings_texts.texts(), *embeddings_others.texts()]


def measure(bundle: Path) -> list[Figure]:
    """One daemon with a broker and an HTTP door, all-MiniLM-L6-v2 beside the model."""
    if importlib.util.find_spec("openai") is None:
        raise RuntimeError("openai is not installed")
    with (
        tempfile.TemporaryDirectory() as folder,
        board(bundle, Path(folder)) as (port, address),
        User(port, "edge/test/reply/me") as user,
    ):
        user.wait_online()
        over_mqtt, over_http = apart(by_mqtt(user)), apart(by_openai(address))
        alone, taken = beside(user)
        waited = short(user)
    return [
        Figure("embeddings_texts", len(texts()), "texts", ">=", 400),
        Figure("embeddings_cosine_mqtt", round(over_mqtt, 6), "distance", "<=", 1e-3),
        Figure("embeddings_cosine_openai", round(over_http, 6), "distance", "<=", 1e-3),
        Figure("embeddings_answer_slowed", round(taken / alone, 2), "ratio", "<=", 1.25),
        Figure("embeddings_beside_answers_ms", round(1000 * waited, 1), "ms", "<=", 500),
    ]


@contextmanager
def board(bundle: Path, folder: Path) -> Iterator[tuple[int, str]]:
    """A daemon on one row; its broker's port and its door's address."""
    made = enlarge(bundle, Additions(folder_of(Path(next(iter(KNOWN))))), folder / "bundle").path
    door = free_port()
    settings = {"EDGE_HTTP__ADDRESS": f"127.0.0.1:{door}", "EDGE_ENGINE__ROWS": "1"}
    with embedded_broker(folder) as port, serving(made, port, folder, **settings):
        yield port, f"http://127.0.0.1:{door}"


def apart(found: Vectors) -> float:
    """The largest cosine distance of a text's vector to the reference's."""
    wanted = np.concatenate([np.load(part.REFERENCE) for part in (embeddings_texts, embeddings_others)])
    wanted = wanted.astype(np.float32)
    cosines = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    print(f"  mean distance {1 - cosines.mean():.6f}", file=sys.stderr, flush=True)
    return float(1 - cosines.min())


def ask(user: User, name: str, **fields: Any) -> dict[str, Any]:
    """A request's reply."""
    user.publish("edge/test/request/me", {"id": name, "stream": False, **fields})
    return user.answer(120, name)[1]


def by_mqtt(user: User) -> Vectors:
    """The vectors of all texts, in several requests."""
    made: list[str] = []
    for start in range(0, len(texts()), AT_ONCE):
        reply = ask(user, f"v{start}", input=texts()[start : start + AT_ONCE], encoding_format="base64")
        made += reply["embeddings"]["vectors"]
    return np.array([np.frombuffer(base64.b64decode(each), "<f4") for each in made])


def by_openai(address: str) -> Vectors:
    """The same by OpenAI's client, as it comes."""
    from openai import OpenAI

    with OpenAI(base_url=f"{address}/v1", api_key="none", timeout=120) as client:
        made = client.embeddings.create(model=next(iter(KNOWN)), input=texts())
    return np.array([each.embedding for each in made.data], np.float32)


def answer(user: User, name: str) -> float:
    """Seconds of an answer."""
    asked = {"prompt": "Tell me of the sea.", "max_tokens": ANSWER_TOKENS, "temperature": 0, "loop_guard": False}
    began = time.perf_counter()
    ask(user, name, **asked)
    return time.perf_counter() - began


def beside(user: User) -> tuple[float, float]:
    """Median seconds of an answer by itself, and of one while many texts are made vectors of."""
    alone, together = list[float](), list[float]()
    for number in range(ROUNDS):
        alone.append(answer(user, f"alone{number}"))
        made = {"input": LONG, "encoding_format": "base64", "stream": False}
        user.publish("edge/test/request/me", {"id": f"long{number}", **made})
        together.append(answer(user, f"together{number}"))
        user.publish("edge/test/cancel/me", f"long{number}")
        time.sleep(0.5)
    return statistics.median(alone), statistics.median(together)


def short(user: User) -> float:
    """Median seconds of one short text's vector while the only row is answering."""
    times = list[float]()
    user.publish("edge/test/request/me", {"id": "busy", "prompt": "Count.", "max_tokens": 1500, "loop_guard": False})
    for number in range(2 * ROUNDS):
        began = time.perf_counter()
        ask(user, f"short{number}", input=SHORT)
        times.append(time.perf_counter() - began)
    user.publish("edge/test/cancel/me", "busy")
    return statistics.median(times)
