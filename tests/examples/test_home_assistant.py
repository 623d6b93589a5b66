"""The blueprint for Home Assistant, in Home Assistant itself; skipped where none is installed (`make ha-test`)."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.clients import User
from tests.conftest import embedded_broker
from tests.edge.doors.home_assistants import WHERE_NOT, home_assistant, pythons
from tests.edge.doors.test_in_home_assistant import board, states_once_known, until
from tests.examples.programs import EXAMPLES

pytestmark = [
    pytest.mark.checkout,
    pytest.mark.home_assistant,
    pytest.mark.skipif(not pythons(), reason=WHERE_NOT),
]
AUTOMATION = """
- alias: ask
  use_blueprint:
    path: edge-slm/ask.yaml
    input:
      when:
        - trigger: event
          event_type: nobody_fires_this
      event: event.pi_answer
      prompt: 'It is {{ 20 + 1 }} degrees and "warm".'
      max_tokens: MAX_TOKENS
      then:
        - action: mqtt.publish
          data:
            topic: seen
            payload: "{{ answer }}"
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("max_tokens", [64, 0], ids=["answered", "refused"])
@pytest.mark.parametrize("python", pythons(), ids=lambda python: python.parent.parent.name)
def test_the_blueprint_asks_and_acts(python: Path, max_tokens: int, tmp_path: Path):
    """Its question is the template's text, its actions get the whole answer; where the board refuses, none is run."""
    place = tmp_path / "hass/blueprints/automation/edge-slm"
    place.mkdir(parents=True)
    shutil.copy(EXAMPLES / "home-assistant/ask.yaml", place)
    with embedded_broker(tmp_path) as port, home_assistant(python, tmp_path / "hass") as hass:
        assert hass.ask("connect", port=port, protocol="5")
        topics = ("edge/pi/request/home-assistant", "edge/pi/reply/home-assistant")
        with board(tmp_path, port), User(port, *topics) as user:
            until(partial(states_once_known, hass))
            assert hass.ask("automation", text=AUTOMATION.replace("MAX_TOKENS", str(max_tokens)))
            with User(port, "seen") as seen:
                hass.ask("call", service="automation.trigger", data={"entity_id": "automation.ask"})
                request = json.loads(user.next().payload)
                assert request["prompt"] == 'It is 21 degrees and "warm".'
                reply = user.answer()[1]
                assert (reply["id"], reply["code"]) == (request["id"], 200 if max_tokens else 400)
                if max_tokens:
                    assert seen.next(30).payload.decode().strip() == reply["text"].strip()
                else:
                    until(lambda: hass.ask("states")["automation.ask"][1]["current"] == 0)
                    assert seen.nothing()
