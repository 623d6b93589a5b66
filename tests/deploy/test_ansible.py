"""What the collection for Ansible reckons by itself: waves, when they end, who is fit, passwords; and its examples."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.ansible.plugins.filter import fitness, waves
from deploy.ansible.plugins.filter.mosquitto import mosquitto_password
from edge.config import load_settings
from tests.clients import User
from tests.conftest import ROOT, mosquitto

pytestmark = pytest.mark.checkout
COLLECTION = ROOT / "deploy/ansible"
NEW = "phi@6"


@pytest.mark.parametrize("name", ["acl.conf", "edge.conf"])
def test_the_brokers_files_are_the_shipped_ones(name):
    """A collection travels alone, and has copies: `cp deploy/mosquitto/NAME deploy/ansible/roles/edge/files/`."""
    copy, shipped = COLLECTION / "roles/edge/files" / name, ROOT / "deploy/mosquitto" / name
    assert copy.read_text() == shipped.read_text()
    assert not copy.is_symlink()


@pytest.mark.parametrize(
    ("total", "shape", "sizes"),
    [
        (100, (), [1, 2, 4, 8, 16, 32, 37]),
        (100, (5, "10%", 2, "25%"), [5, 10, 20, 25, 25, 15]),
        (100, ("10%", 10, 1), [10] * 10),
        (6, (1, 2, 2, 3), [1, 2, 3]),
        (3, ("10%", "10%", 1.5), [1, 1, 1]),
        (1, (5,), [1]),
        (0, (), [1]),
    ],
)
def test_waves_grow_up_to_a_size_and_take_every_board(total, shape, sizes):
    """Canaries first, then by the factor; shares are of all boards."""
    made = waves.waves(total, *shape)
    assert made == sizes
    assert sum(made) == max(total, 1)


@pytest.mark.parametrize(
    "shape", [(0,), ("0%",), ("101%",), ("some",), (1, -2), (1, 2, 0.5), (1, 2, "x"), (1, 2, 2, 0)]
)
def test_sizes_that_are_none_are_refused(shape):
    """By their name, and at once."""
    with pytest.raises(ValueError, match="number"):
        waves.waves(10, *shape)


def results(*states: str) -> list[dict[str, Any]]:
    """Boards that came to these."""
    return [{"state": state} for state in states]


@pytest.mark.parametrize(
    ("wave", "before", "percent", "executed", "stops"),
    [
        (["kept", "rolled_back"], [], 0, 1, True),
        (["kept", "rolled_back"], [], 50, 1, False),
        (["kept", "put_back", "failed"], [], 50, 1, True),
        (["rolled_back"], ["kept", "kept"], 0, 4, False),
        (["rolled_back"], ["kept", "kept", "there"], 0, 3, True),
        (["away", "there"], [], 0, 1, False),
        (["away", "there", "failed"], [], 90, 1, True),
    ],
)
def test_a_rollout_ends_by_the_share_of_a_wave_once_enough_were_asked(wave, before, percent, executed, stops):
    """Boards that were away, or had it, count neither as failed nor as asked."""
    own = results(*wave)
    assert bool(waves.stop(own, results(*before) + own, percent, executed)) == stops


def health(**changes: Any) -> dict[str, Any]:
    """A board that is well."""
    well = {"state": "online", "governor": None, "why": "", "throttled": [], "speed": 10.0, "wrong": []}
    return {**well, "bundle": {"name": "phi", "version": "5", "state": "kept"}, **changes}


KEPT = {"name": "phi", "version": "6", "state": "kept"}


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ({}, ""),
        ({"state": "unloaded"}, ""),
        ({"state": "offline"}, "it is offline"),
        ({"bundle": KEPT | {"state": "probation"}}, "it runs phi@6 (probation)"),
        ({"bundle": KEPT | {"version": "5"}}, "it runs phi@5 (kept)"),
        ({"governor": "slowed"}, "its governor slows it down"),
        ({"throttled": ["throttled", "under_voltage"]}, "it throttles itself: throttled"),
        ({"speed": 6.9}, "6.9 tokens a second, of 10 before"),
        ({"speed": None}, "0 tokens a second, of 10 before"),
        ({"wrong": ["'Which?' is answered with 'x'"]}, "'Which?' is answered"),
    ],
)
def test_a_board_is_judged_by_what_has_become_worse(after, says):
    """A supply that was weak before the rollout is not the bundle's fault."""
    before = health(throttled=["under_voltage"])
    result = fitness.outcome(health(bundle=KEPT) | after, before, NEW, 0.7, {"rc": 0})
    assert result["state"] == ("failed" if says else "kept")
    assert says in result["why"]


@pytest.mark.parametrize(
    ("wish", "runs", "state"),
    [
        ({"rc": 1, "stdout": "trying\nrolled_back: it was slow"}, "5", "rolled_back"),
        ({"rc": 1, "stdout": "refused: no room"}, "5", "rolled_back"),
        ({"rc": 4, "stdout": "not done after 3 s; the wish stands"}, "5", "failed"),
        ({"rc": 69, "stdout": "", "stderr": "no broker"}, "?", "failed"),
    ],
)
def test_a_wish_that_was_not_kept_is_told(wish, runs, state):
    """In the board's own words; what is not known to be back is to be put back."""
    after = health(bundle={"name": "phi", "version": runs, "state": "rolled_back"})
    result = fitness.outcome(after, health(), NEW, 0.7, wish)
    assert (result["state"], bool(result["why"])) == (state, True)


def test_what_is_put_back_is_told_from_what_is_not():
    """The last is what somebody must see to, and comes first in the report."""
    kept = {"state": "kept", "runs": NEW, "why": ""}
    back = fitness.put_back(kept, health(), health(), {"rc": 0})
    assert back == {"state": "put_back", "runs": "phi@5", "why": "others of its wave failed"}
    stuck = fitness.put_back(kept, health(bundle=KEPT), health(), {"rc": 1, "stdout": "refused: not there"})
    assert (stuck["state"], stuck["why"]) == ("failed", "not put back: refused: not there")
    lines = fitness.report({"a": back, "b": stuck, "c": kept})
    assert [line[0] for line in lines] == ["b", "a", "c"]


def test_health_is_what_the_programs_print():
    """Nothing that a program did not print, or printed otherwise, is taken for good."""
    said = {
        "status": {"state": "online"},
        "telemetry": {"bundle": KEPT, "throttling": {"now": {"throttled": True, "under_voltage": False}}},
    }
    reply = {"code": 200, "text": "Paris", "usage": {"completion_tokens": 30}, "timings": {"decode_seconds": 2.0}}
    question = {"prompt": "France?", "contains": "paris"}
    answers = [{"item": question, "stdout": json.dumps(reply)}, {"item": question, "stdout": "", "stderr": "late"}]
    heard = fitness.heard({"stdout": json.dumps(said)}, [{"stdout": json.dumps(reply)}], answers)
    assert (heard["state"], heard["throttled"], heard["speed"]) == ("online", ["throttled"], 15.0)
    assert heard["wrong"] == ["no answer to 'France?': late"]
    unknown = fitness.heard({"stdout": "no", "stderr": "no board"}, [], [])
    assert fitness.standing(unknown, NEW)["state"] == "away"
    assert fitness.standing(health(bundle=KEPT), NEW)["state"] == "there"


@pytest.mark.parametrize("bundle", ["", "phi", "@6", "phi@"])
def test_a_rollout_names_a_version(bundle):
    """Without one it could not be told whether a board runs it."""
    with pytest.raises(ValueError, match="NAME@VERSION"):
        fitness.versioned(bundle)


@pytest.mark.mosquitto
def test_mosquitto_takes_the_passwords(tmp_path: Path):
    """As they were made, each time alike, and no other."""
    line = mosquitto_password("secret", "me", "broker")
    assert line == mosquitto_password("secret", "me", "broker")
    assert line != mosquitto_password("secret", "me", "another")
    (tmp_path / "passwd").write_text(f"{line}\n")
    with mosquitto(tmp_path, config=f"password_file {tmp_path}/passwd\n") as port:
        for password, code in (("secret", 0), ("other", 135)):
            user = User(port)
            user.client.username_pw_set("me", password)
            with user:
                assert user.connack.value == code


def test_the_examples_are_settings_that_the_daemon_knows(tmp_path: Path, monkeypatch):
    """What somebody copies first."""
    text = (COLLECTION / "examples/group_vars/edge_boards.yml").read_text().replace("{{ edge_device }}", "board")
    assert load_settings(**yaml.safe_load(text)["edge_settings"]).store.desired


def test_every_variable_is_one_that_a_role_names():
    """A misspelt one in the example or on the page would do nothing, and say so to nobody."""
    known = set()
    for role in ("edge", "rollout"):
        known |= set(yaml.safe_load((COLLECTION / f"roles/{role}/defaults/main.yml").read_text()))
    known |= {"edge_boards", "edge_broker", "rollout_bundle", "rollout_id", "rollout_group"}
    files = [*(COLLECTION / "examples").rglob("*.yml"), ROOT / "docs/fleet-ansible.md"]
    used = {name for file in files for name in re.findall(r"\b(?:edge|rollout)_[a-z_]+\b", file.read_text())}
    assert used - known - {"edge_slm", "rollout_back"} == set()


@pytest.mark.skipif(not (ROOT / ".venv-ansible").is_dir(), reason="make ansible-test makes the environment")
def test_the_collection_is_whole_where_it_is_built(tmp_path: Path):
    """The access list and the broker's settings are the project's own files, and come with it."""
    galaxy = str(ROOT / ".venv-ansible/bin/ansible-galaxy")
    subprocess.run([galaxy, "collection", "build", str(COLLECTION), "--output-path", str(tmp_path)], check=True)
    shutil.unpack_archive(next(tmp_path.glob("*.tar.gz")), tmp_path / "out", filter="data")
    for name in ("acl.conf", "edge.conf"):
        assert (tmp_path / "out/roles/edge/files" / name).read_text() == (ROOT / "deploy/mosquitto" / name).read_text()
