"""Real processes: bundles come and go under load, and the daemon is killed in the middle of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edge.store.store import Store
from tests.clients import User
from tests.conftest import embedded_broker, running
from tests.edge.commands.program import ended, started
from tests.edge.store.publishing import Published
from tests.exchanges import exchanged, killed, script


@pytest.mark.slow
@pytest.mark.mosquitto
def test_kills_in_an_exchange_leave_one_whole_bundle(tmp_path: Path):
    """After each the board answers with the old bundle or the new one, and the exchange goes on; nothing is lost."""
    course = killed(tmp_path, 3)
    assert (course.kills, course.whole, course.ends) == (3, 3, ["kept"] * 3)
    assert (course.lost, course.contradicted, course.failed) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.mosquitto
def test_exchanges_lose_no_request_and_answer_none_twice(tmp_path: Path):
    """Good bundles are kept, a bad one is rolled back, and each request is begun once."""
    course = exchanged(tmp_path, 3)
    assert course.ends == ["kept", "kept", "rolled_back"]
    assert (course.lost, course.contradicted, course.failed) == (0, 0, 0)
    assert {name: count for name, count in course.begun.items() if name.startswith("c0-") and count > 1} == {}


@pytest.mark.slow
@pytest.mark.mosquitto
def test_a_real_model_is_exchanged(tmp_path: Path, bundle: Path):
    """Kept where it knows Paris, rolled back where it is to know Lisbon; nobody's request is lost."""
    course = exchanged(tmp_path, 3, bundle)
    assert course.ends == ["kept", "kept", "rolled_back"]
    assert (course.lost, course.contradicted, course.failed) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.mosquitto
def test_kills_in_an_exchange_of_real_models(tmp_path: Path, bundle: Path):
    """The same with the real engine, whose child goes with the daemon."""
    course = killed(tmp_path, 6, bundle, span_seconds=10)
    assert (course.kills, course.whole) == (6, 6)
    assert (course.lost, course.contradicted, course.failed) == (0, 0, 0)


def test_from_the_repository_to_being_kept(tmp_path: Path):
    """The whole way: published, wished for with `edge rollout`, fetched, verified, tried; kept, or rolled back."""
    repository, made = Published(tmp_path / "repository"), tmp_path / "made"
    for version in (1, 2):
        script(version, is_good=version == 1).write(made / str(version))
        repository.add(made / str(version), str(version))
    env = {
        "EDGE_DEVICE": "test",
        "EDGE_JOURNAL__FOLDER": str(tmp_path / "state"),
        "EDGE_STORE__FOLDER": str(tmp_path / "store"),
        "EDGE_STORE__REPOSITORY": str(repository.folder),
        "EDGE_STORE__ROOT": str(repository.trusted),
        "EDGE_STORE__DESIRED": "true",
        "EDGE_STORE__PROBATION_SECONDS": "0.5",
        "EDGE_STORE__SPEED_FLOOR": "0.2",
        "EDGE_LIMITS__COMMANDS": "true",
    }
    with embedded_broker(tmp_path) as port, User(port, "edge/test/reported") as user:
        env["EDGE_BROKER__PORT"] = str(port)
        with running([sys.executable, "-m", "edge.testing"], tmp_path / "daemon.log", env):
            user.wait_online()
            status, out, _ = ended(started(env, "rollout", "scripted@1", "--wait=50", "--id=first"))
            assert (status, out.splitlines()[-1]) == (0, "kept")
            status, out, _ = ended(started(env, "rollout", "scripted", "--wait=50"))
            assert status == 1
            assert "without 'another'" in out.splitlines()[-1]
            status, out, _ = ended(started(env, "rollout", "scripted@7", "--wait=6"))  # it may be published yet
            assert (status, "waiting: " in out) == (4, True)
    bodies = [json.loads(message.payload) for message in list(user.inbox.queue)]
    assert [body["bundle"]["version"] for body in bodies if body["state"] == "kept"][-1] == "1"
    assert Store(tmp_path / "store").read().wish is not None
