"""The message that makes Home Assistant show a board: one device and all its entities, retained on one topic.

Device discovery: home-assistant.io/integrations/mqtt, "Device discovery payload". Keys are its abbreviations: `p`
platform, `uniq_id` what it knows an entity by, `def_ent_id` the name that automations use (2025.10 and later; before
that the same name follows from device and entity), `stat_t` where the value comes, `val_tpl` the template that reads
it, `exp_aft` seconds after which a value is too old, `avty_t` where it is told whether the board is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from edge import __version__
from edge.config import Settings
from edge.doors.entities import Entity, entities, is_known, lookup, reach, slug
from edge.wire.message import Message, retained

PERIODS = 3
"""So many readings may be missing before a value counts as unknown."""
EXPIRE_SECONDS_MIN = 30
MODEL_MAX = 128

HERE = "{{ 'offline' if (value_json | default({}, true)).state | default('offline') == 'offline' else 'online' }}"
"""A board that loads or stops is there: it says how it is, and writes prompts down."""
STATES = ["loading", "online", "unloaded", "stopping", "offline"]
STATE = "{{ (value_json | default({}, true)).state | default(none) }}"
ASK = "{{ {'prompt': value, 'stream': false} | to_json }}"
ANSWER_TYPES = ["answered", "failed"]
ANSWER = (
    "{% set r = value_json | default({}, true) %}"
    "{% if r is mapping and r.type | default('') == 'reply' %}"
    "{{ {'event_type': 'answered' if r.code | default(0) == 200 else 'failed', 'text': r.text | default(''),"
    " 'id': r.id | default(''), 'code': r.code | default(0), 'finish_reason': r.finish_reason | default(''),"
    " 'tokens': (r.usage | default({}, true)).completion_tokens | default(none),"
    " 'reason': (r.error | default({}, true)).message | default(none)} | to_json }}"
    "{% endif %}"
)
"""The terminal message alone; nothing for what waits and for pieces, which Home Assistant then passes over."""
LASTING = ("throttled", "under_voltage", "low_memory", "sensor_failed")
"""Events that begin and end."""
EVENT_TYPES = [
    *LASTING,
    *(f"{each}_over" for each in LASTING),
    "engine_restarted",
    "engine_recycled",
    "bundle_tried",
    "bundle_kept",
    "bundle_rolled_back",
    "governor",
    "other",
]
EVENT = (
    "{% set e = value_json | default({}, true) %}"
    "{% if e is mapping and e.event | default('') %}"
    "{% set name = e.event ~ ('_over' if e.is_on | default(true) == false else '') %}"
    f"{{{{ dict(e, event_type=name if name in {EVENT_TYPES} else 'other') | to_json }}}}"
    "{% endif %}"
)
UNDER_WAY = ["downloading", "verifying", "verified", "trying"]
"""States in which another bundle is on its way."""
BUNDLE = (
    "{% set r = value_json | default({}, true) %}{% set b = r.bundle | default({}, true) %}"
    "{% set n = r.next | default({}, true) %}{% set state = r.state | default('', true) %}"
    "{% set version = b.version | default('', true) | string %}{% set share = r.progress | default(none) %}"
    "{{ {'installed_version': version, 'latest_version': n.version | default(r.latest, true) | default(version, true)"
    " | string, 'title': n.name | default(b.name, true) | default('', true) | string,"
    f" 'in_progress': state in {UNDER_WAY},"
    " 'update_percentage': (share * 100) | round(1) if share is number else none,"
    " 'release_summary': (r.reason | default('', true) | string)[:255]} | to_json }}"
)
"""`reported` as an update entity has it (home-assistant.io/integrations/update.mqtt)."""


def identifier(device: str) -> str:
    """A board's name where a discovery topic allows no dot; two boards never come to the same."""
    if "." not in device:
        return f"edge-{device}"
    return f"edge-{device.replace('.', '-')}-{hashlib.sha256(device.encode()).hexdigest()[:8]}"


def topic(settings: Settings) -> str:
    """Where the message lies."""
    return f"{settings.home_assistant.prefix}/device/{identifier(settings.device)}/config"


def discovery(
    settings: Settings, body: Mapping[str, Any], shown: Mapping[str, Entity], once: Mapping[str, str]
) -> Message:
    """The whole of it. body: a telemetry message. once: platforms of entities that were shown before, by their keys.

    Of an entity that is gone Home Assistant wants the platform and nothing else.
    """
    components = {key: _component(entity, settings) for key, entity in shown.items()} | _beside(settings)
    named = {key: {**each, **_names(settings, key, each["p"])} for key, each in components.items()}
    left = {key: {"p": platform} for key, platform in once.items() if key not in named}
    whole = {
        "dev": _device(settings, body),
        "o": {"name": "edge-slm", "sw": __version__},
        "avty_t": settings.topics.status,
        "avty_tpl": HERE,
        "cmps": named | left,
    }
    return retained(topic(settings), whole)


def withdrawn(from_topic: str) -> Message:
    """What takes a device and all its entities out again."""
    return Message(from_topic, b"", 1, retain=True)


def platforms(made: Message) -> dict[str, str]:
    """The platform of each entity of such a message, by their keys."""
    return {key: each["p"] for key, each in json.loads(made.payload)["cmps"].items()}


def shown_of(body: Mapping[str, Any], before: Mapping[str, Entity]) -> dict[str, Entity]:
    """The entities of a telemetry message, and those of earlier ones whose value may come back.

    A source that fails for a while, or has not answered yet, keeps its entities, which are unknown meanwhile. One that
    the board does not have, a name that a source no longer tells, and a row that this version has not, lose theirs.
    """
    now = entities(body)
    kept = {key: each for key, each in before.items() if key not in now and not _is_gone(each, body)}
    return dict(sorted((now | kept).items()))  # in one order, so that equal messages are equal


def _is_gone(entity: Entity, body: Mapping[str, Any]) -> bool:
    source = entity.path[0]
    if source in body.get("absent", ()):
        return True
    parent = lookup(body, entity.path[:-1]) if len(entity.path) > 1 else body
    is_told = isinstance(parent, Mapping) and entity.path[-1] in parent
    return source in body and (not is_told or is_known(entity, body))


def _device(settings: Settings, body: Mapping[str, Any]) -> dict[str, Any]:
    """Which board it is, as far as it knows."""
    told = {"mdl": lookup(body, ("board", "model")), "mdl_id": lookup(body, ("board", "kind"))}
    known = {key: str(value)[:MODEL_MAX] for key, value in told.items() if value}
    return {"ids": [identifier(settings.device)], "name": settings.device, "mf": "Edge SLM", "sw": __version__, **known}


def _names(settings: Settings, key: str, platform: str) -> dict[str, str]:
    return {
        "uniq_id": f"{identifier(settings.device)}-{key}",
        "def_ent_id": f"{platform}.{slug(settings.device)}_{key}",
    }


def _component(entity: Entity, settings: Settings) -> dict[str, Any]:
    """An entity that reads the telemetry; what it does not say is left out."""
    told: dict[str, Any] = {
        "p": entity.platform,
        "name": entity.name,
        "stat_t": settings.topics.telemetry,
        "val_tpl": entity.template,
        "exp_aft": max(EXPIRE_SECONDS_MIN, round(PERIODS * settings.telemetry.period_seconds)),
        "unit_of_meas": entity.unit,
        "dev_cla": entity.device_class,
        "stat_cla": entity.state_class,
        "sug_dsp_prc": entity.precision,
        "ent_cat": "diagnostic" if entity.is_diagnostic else None,
        "ic": entity.icon,
        "ops": list(entity.options) or None,
        **_details(entity, settings),
    }
    hidden = {} if entity.is_shown else {"en": False}
    return {key: value for key, value in told.items() if value is not None} | hidden


def _details(entity: Entity, settings: Settings) -> dict[str, Any]:
    """What goes with a state: an object, which may be missing."""
    if not entity.details:
        return {}
    return {
        "json_attr_t": settings.topics.telemetry,
        "json_attr_tpl": f"{{{{ ({reach(entity.details)} or {{}}) | to_json }}}}",
    }


def _beside(settings: Settings) -> dict[str, dict[str, Any]]:
    """What is not in the telemetry: how the board is, which model it has, asking and answers, what happened, orders."""
    topics, client = settings.topics, settings.home_assistant.client
    beside: dict[str, dict[str, Any]] = {
        "state": {"p": "sensor", "name": "State", "stat_t": topics.status, "val_tpl": STATE, "dev_cla": "enum"}
        | {"ops": STATES, "ent_cat": "diagnostic", "ic": "mdi:state-machine"},
        "bundle": {"p": "update", "name": "Bundle", "stat_t": topics.reported, "val_tpl": BUNDLE}
        | {"ent_cat": "diagnostic", **_install(settings)},
        "ask": {"p": "notify", "name": "Ask", "cmd_t": topics.request(client), "cmd_tpl": ASK, "qos": 1},
        "answer": {"p": "event", "name": "Answer", "stat_t": topics.reply(client), "evt_typ": ANSWER_TYPES}
        | {"val_tpl": ANSWER, "qos": 1, "ic": "mdi:message-text"},
        "event": {"p": "event", "name": "Event", "stat_t": topics.event, "evt_typ": EVENT_TYPES, "val_tpl": EVENT}
        | {"ent_cat": "diagnostic"},
    }
    return beside | (_buttons(topics.command) if settings.limits.commands else {})


def _install(settings: Settings) -> dict[str, Any]:
    """What `Install` says, where a board heeds it."""
    is_heeded = settings.limits.commands and settings.store.repository is not None
    return {"cmd_t": settings.topics.command, "pl_inst": "update", "qos": 1} if is_heeded else {}


def _buttons(command_topic: str) -> dict[str, dict[str, Any]]:
    """What the engine can be told (`edge/wire/command.py`)."""
    common = {"p": "button", "cmd_t": command_topic, "qos": 1, "ent_cat": "config"}
    return {
        "restart_engine": {**common, "name": "Restart engine", "pl_prs": "restart", "dev_cla": "restart"},
        "unload_engine": {**common, "name": "Unload engine", "pl_prs": "unload", "ic": "mdi:tray-arrow-up"},
    }
