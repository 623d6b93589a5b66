"""A Home Assistant that a test can look into: runs in an environment of its own, where nothing of ours is installed.

`PYTHON inside_home_assistant.py FOLDER`. It takes one JSON object a line on standard input and answers each with one
on standard output; `do` names a function below. It is Home Assistant's core as it is, its http and MQTT integrations,
and whatever MQTT discovery loads: no frontend, no recorder, nothing that wants the internet.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homeassistant import auth, bootstrap, config_entries, loader
from homeassistant.components.mqtt import schemas
from homeassistant.components.mqtt.discovery import (
    MQTTDiscoveryPayload,
    _merge_common_device_options,
    _replace_all_abbreviations,
)
from homeassistant.components.mqtt.models import MqttCommandTemplate, MqttValueTemplate, PayloadSentinel
from homeassistant.const import EVENT_STATE_CHANGED, __version__
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry, entity_registry, intent
from homeassistant.helpers.template import Template
from homeassistant.setup import async_setup_component
from homeassistant.util import yaml

said: list[str] = []
"""What it logged as a warning or worse."""
happened: list[tuple[str, dict[str, Any]]] = []
"""Each state that an event entity had."""


class Heard(logging.Handler):
    """Keeps what is wrong."""

    def emit(self, record: logging.LogRecord) -> None:
        """A line."""
        said.append(f"{record.name}: {record.getMessage()}")


async def made(folder: str) -> HomeAssistant:
    """The core, with what MQTT needs."""
    (Path(folder) / "configuration.yaml").touch()
    hass = HomeAssistant(folder)
    hass.config.skip_pip = True
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    loader.async_setup(hass)
    await bootstrap.async_load_base_functionality(hass)
    hass.auth = await auth.auth_manager_from_config(hass, [], [])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        http = {"server_host": ["127.0.0.1"], "server_port": probe.getsockname()[1]}
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(hass, "http", {"http": http})
    await hass.async_start()
    hass.bus.async_listen(EVENT_STATE_CHANGED, _note)
    return hass


def _note(event: Any) -> None:
    state = event.data["new_state"]
    if state is not None and state.domain == "event" and state.state not in ("unknown", "unavailable"):
        happened.append((state.entity_id, _plain(state.attributes)))


_note._hass_callback = True  # type: ignore[attr-defined]  # what its decorator sets


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


# --- what a test can ask for ---


async def version(hass: HomeAssistant) -> str:
    """Which release it is."""
    return __version__


async def connect(hass: HomeAssistant, port: int, protocol: str) -> bool:
    """Its MQTT integration, set up as a user would."""
    entry = config_entries.ConfigEntry(
        data={"broker": "127.0.0.1", "port": port, "protocol": protocol},
        discovery_keys={},
        domain="mqtt",
        minor_version=2,
        options={},
        source="user",
        subentries_data=None,
        title="broker",
        unique_id=None,
        version=1,
    )
    await hass.config_entries.async_add(entry)
    await hass.async_block_till_done()
    return entry.state is config_entries.ConfigEntryState.LOADED


async def states(hass: HomeAssistant) -> dict[str, Any]:
    """Every entity's state and attributes."""
    return {each.entity_id: [each.state, _plain(each.attributes)] for each in hass.states.async_all()}


async def registered(hass: HomeAssistant) -> dict[str, Any]:
    """Every entity of the registry, those that are off too, with category and unique id."""
    return {
        each.entity_id: [each.unique_id, each.entity_category, each.disabled_by]
        for each in entity_registry.async_get(hass).entities.values()
        if each.platform == "mqtt"
    }


async def devices(hass: HomeAssistant) -> list[dict[str, Any]]:
    """Every device: name, model, maker, version."""
    return [
        {"name": each.name, "model": each.model, "manufacturer": each.manufacturer, "sw": each.sw_version}
        for each in device_registry.async_get(hass).devices.values()
        if any(domain == "mqtt" for domain, _ in each.identifiers)
    ]


async def call(hass: HomeAssistant, service: str, data: dict[str, Any]) -> None:
    """A service, such as `notify.send_message`."""
    domain, _, name = service.partition(".")
    await hass.services.async_call(domain, name, data, blocking=True)


async def automation(hass: HomeAssistant, text: str) -> bool:
    """Automations as a user writes them into automations.yaml."""
    loaded = yaml.parse_yaml(text)
    done = await async_setup_component(hass, "automation", {"automation": loaded})
    await hass.async_block_till_done()
    return done and len(hass.states.async_entity_ids("automation")) == len(loaded)


async def events(hass: HomeAssistant) -> list[Any]:
    """What the event entities said so far."""
    return [list(each) for each in happened]


async def log(hass: HomeAssistant) -> list[str]:
    """What was logged as a warning or worse so far."""
    return list(said)


async def validate(hass: HomeAssistant, discovery: str) -> dict[str, str | None]:
    """What its schemas have against a device discovery message and each of its components; None where nothing.

    The message is taken as it takes one off the broker: abbreviations spelled out, the device's options handed on.
    """
    device = MQTTDiscoveryPayload(json.loads(discovery))
    _replace_all_abbreviations(device)
    verdicts = {"device": _against(schemas.DEVICE_DISCOVERY_SCHEMA, device)}
    for key, component in device["components"].items():
        if len(component) > 1:
            config = MQTTDiscoveryPayload(component)
            platform = config.pop("platform")
            config["device"], config["origin"] = device["device"], device["origin"]
            _merge_common_device_options(config, device)
            schema = importlib.import_module(f"homeassistant.components.mqtt.{platform}").DISCOVERY_SCHEMA
            verdicts[key] = _against(schema, config)
    return verdicts


def _against(schema: Any, value: Mapping[str, Any]) -> str | None:
    try:
        schema(value)
    except Exception as error:  # the verdict is the test's
        return repr(error)
    return None


async def render(hass: HomeAssistant, templates: dict[str, str], payload: str) -> dict[str, str]:
    """What value templates make of a message, as its MQTT entities have them rendered."""
    return {
        key: str(
            MqttValueTemplate(Template(each, hass)).async_render_with_possible_json_value(payload, PayloadSentinel.NONE)
        )
        for key, each in templates.items()
    }


async def command(hass: HomeAssistant, template: str, value: str) -> str:
    """What a command template makes of a value."""
    return str(MqttCommandTemplate(Template(template, hass)).async_render(value))


async def lamp(hass: HomeAssistant, name: str) -> bool:
    """A light with a name, off, that can be switched."""
    switch = {"target": {"entity_id": "input_boolean.wire"}}
    light = {
        "friendly_name": name,
        "value_template": "{{ is_state('input_boolean.wire', 'on') }}",
        "turn_on": {"service": "input_boolean.turn_on", **switch},
        "turn_off": {"service": "input_boolean.turn_off", **switch},
    }
    done = await async_setup_component(hass, "input_boolean", {"input_boolean": {"wire": None}})
    lights = {"light": [{"platform": "template", "lights": {"lamp": light}}]}
    done = done and await async_setup_component(hass, "light", lights)
    await hass.async_block_till_done()
    return done and hass.states.get("light.lamp") is not None


async def assist(hass: HomeAssistant, port: int) -> list[Any]:
    """Its Wyoming integration, set up as a user would; the title, and each agent with its attributes."""
    place = {"host": "127.0.0.1", "port": port}
    result = await hass.config_entries.flow.async_init("wyoming", context={"source": "user"}, data=place)
    await hass.async_block_till_done()
    registry, entry = entity_registry.async_get(hass), result["result"]
    agents = entity_registry.async_entries_for_config_entry(registry, entry.entry_id)
    return [entry.title, *((each.entity_id, _plain(hass.states.get(each.entity_id).attributes)) for each in agents)]


async def converse(hass: HomeAssistant, agent: str, text: str, conversation_id: str | None = None) -> Any:
    """What an agent says to a sentence, as its own service has it."""
    data = {"agent_id": agent, "text": text, **({"conversation_id": conversation_id} if conversation_id else {})}
    answer = await hass.services.async_call("conversation", "process", data, blocking=True, return_response=True)
    await hass.async_block_till_done()
    return _plain(answer)


async def intended(hass: HomeAssistant, components: list[str], meant: list[tuple[str, dict[str, Any]]]) -> Any:
    """Intents that it does not know, once components that bring them are set up; what the others have against slots."""
    for each in components:
        assert await async_setup_component(hass, each, {})
    await hass.async_block_till_done()
    handlers = {each.intent_type: each for each in intent.async_get(hass)}
    unknown, against = sorted({name for name, _ in meant} - set(handlers)), []
    for name, slots in ((name, slots) for name, slots in meant if name in handlers):
        try:
            handlers[name].async_validate_slots({slot: {"value": value} for slot, value in slots.items()})
        except Exception as error:  # the verdict is the test's
            against.append(f"{name} {slots}: {error!r}")
    return [unknown, against]


KNOWN = (
    version,
    connect,
    states,
    registered,
    devices,
    call,
    automation,
    events,
    log,
    validate,
    render,
    command,
    lamp,
    assist,
    converse,
    intended,
)
DOES = {each.__name__: each for each in KNOWN}


async def main(folder: str) -> None:
    """Do what each line says until there is none."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger().addHandler(Heard())
    hass = await made(folder)
    lines = asyncio.get_running_loop()
    while line := await lines.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        try:
            answer = {"value": await DOES[asked.pop("do")](hass, **asked)}
        except Exception as error:  # told, so that the test fails there
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)
    with contextlib.suppress(Exception):
        await asyncio.wait_for(hass.async_stop(force=True), 20)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else place))
