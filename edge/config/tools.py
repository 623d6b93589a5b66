"""What a model may have the board do: `[tools.NAME]`, a table each; without one there is nothing that it may."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from edge.config.sections import Section
from edge.wire.matching import closed, whole
from edge.wire.schema import check
from edge.wire.topics import DOORS_CLIENT, LEVEL, ROOT, UNUSABLE, unusable

ToolKind = Literal["publish", "retained", "telemetry"]
TelemetryValue = Literal[
    "board.model",
    "board.uptime_seconds",
    "thermal.hottest_celsius",
    "memory.total_bytes",
    "memory.available_bytes",
    "cpu.used_percent",
    "cpu.load_1m",
    "throttling.now.throttled",
    "throttling.now.under_voltage",
    "power.watts",
    "power.supply_volts",
    "battery.level_percent",
    "battery.is_charging",
    "inference.queue_length",
    "inference.running",
    "inference.decode_tokens_per_second",
    "governor.state",
    "governor.headroom_celsius",
]
"""Places in the telemetry's body."""
EVERYBODY = "*"
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")
LEVEL_CHARACTERS_MAX, TOPICS_MAX, TOOLS_MAX = 64, 64, 32
"""Of what stands in a topic's placeholder; topics that one tool reads; tools."""
ONE_LEVEL = re.compile(r"[^/+#]+")
OF_EVERY_KIND = {"kind", "description", "clients"}
OF_KIND: dict[str, set[str]] = {
    "publish": {"topic", "levels", "payload", "qos", "retain"},
    "retained": {"topic", "levels"},
    "telemetry": {"values"},
}
NEEDED: dict[str, tuple[str, ...]] = {"publish": ("topic", "payload"), "retained": ("topic",), "telemetry": ("values",)}


class Tool(Section):
    """`[tools.NAME]`: something that a model may have the board do, for a request that offers it that."""

    kind: ToolKind = Field(description="publish on a topic, read a retained topic, or read a value of the telemetry")
    description: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="what the model is told of it: what it does, and when to call it"
    )
    clients: list[str] = Field(
        min_length=1, description='client levels of request topics that may offer it; ["*"] is everybody, named or not'
    )
    topic: str | None = Field(
        default=None, description="of publish and retained: the topic, which may have {placeholders} for parts of it"
    )
    levels: dict[str, list[str] | str] = Field(
        default={},
        description="of each placeholder: the texts that may be there or, where it is published, a pattern that each"
        " must match",
    )
    payload: list[str] | dict[str, Any] | None = Field(
        default=None, description="of publish: the texts that may be sent, or a JSON schema of what may be"
    )
    qos: Literal[0, 1] = Field(default=1, description="of publish: 1 has the broker say that it took it")
    retain: bool = Field(default=False, description="of publish: whether the broker keeps it")
    values: list[TelemetryValue] = Field(default=[], description="of telemetry: which may be read")

    @field_validator("clients")
    @classmethod
    def _are_levels(cls, clients: list[str]) -> list[str]:
        for each in clients:
            if each != EVERYBODY and not (LEVEL.fullmatch(each) or DOORS_CLIENT.fullmatch(each)):
                raise ValueError(f"{each[:80]!r} is no client's level; {EVERYBODY} is everybody")
        return clients

    @field_validator("topic")
    @classmethod
    def _may_be_used(cls, topic: str | None) -> str | None:
        if topic is None:
            return None
        bare = PLACEHOLDER.sub("x", topic)
        if (reason := unusable(bare)) is not None:
            raise ValueError(f"it {reason}")
        first = topic.partition("/")[0]
        if first == ROOT or first.startswith("$") or "{" in first:
            raise ValueError(f"its first level is to be written out, and neither {ROOT}, where boards talk, nor $…")
        if "{" in bare or "}" in bare:
            raise ValueError("a placeholder is {name}, of small letters, digits and _")
        return topic

    @field_validator("levels", "payload", mode="before")
    @classmethod
    def _are_written_right(cls, value: Any) -> Any:
        """Told here, since pydantic would tell it of each of the kinds that they may be of."""
        if isinstance(value, list) and not all(isinstance(each, str) for each in value):
            raise ValueError("a list of texts")
        if value is not None and not isinstance(value, list | dict):
            raise ValueError("a list of texts, or a table")
        return value

    @field_validator("levels")
    @classmethod
    def _stay_one_level(cls, levels: dict[str, list[str] | str]) -> dict[str, list[str] | str]:
        for name, each in levels.items():
            if isinstance(each, str):
                closed({"type": "string", "pattern": each}, name)
            elif not each:
                raise ValueError(f"{name} has no text that may be there")
            elif (wrong := next((text for text in each if not is_level(text)), None)) is not None:
                raise ValueError(
                    f"{wrong[:80]!r} of {name} is not within one level of a topic, of 64 characters at most"
                )
        return levels

    @field_validator("payload")
    @classmethod
    def _can_be_checked(cls, payload: list[str] | dict[str, Any] | None) -> list[str] | dict[str, Any] | None:
        if payload == []:
            raise ValueError('no text may be sent; [""] is the empty one')
        try:
            json.dumps(payload, allow_nan=False)
        except TypeError as error:
            raise ValueError(f"it is sent as JSON, which has no dates and times: {error}") from error
        return closed(payload) if isinstance(payload, dict) else payload

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        if strange := sorted(self.model_fields_set - OF_EVERY_KIND - OF_KIND[self.kind]):
            raise ValueError(f"{strange[0]} is not for a tool of the kind {self.kind}")
        if missing := [name for name in NEEDED[self.kind] if not getattr(self, name)]:
            raise ValueError(f"a tool of the kind {self.kind} needs {missing[0]}")
        used = set(self.placeholders)
        if unlike := sorted(used ^ set(self.levels)):
            where = "not in topic" if unlike[0] in self.levels else "not in levels"
            raise ValueError(f"the placeholder {unlike[0]} is {where}: each is in both")
        if "payload" in used:
            raise ValueError("no placeholder can be called payload: what is sent is")
        if self.kind == "retained":
            self._check_topics()
        check(self.parameters, "object")
        return self

    def _check_topics(self) -> None:
        if any(isinstance(each, str) for each in self.levels.values()):
            raise ValueError("of a topic that is read, levels are lists: the board listens to each from its start")
        count = 1
        for each in self.levels.values():
            count *= len(each)
        if count > TOPICS_MAX:
            raise ValueError(f"{count} topics would be listened to, and {TOPICS_MAX} may be")

    @property
    def placeholders(self) -> list[str]:
        """The names in the topic, in their order."""
        return list(dict.fromkeys(PLACEHOLDER.findall(self.topic or "")))

    @property
    def topics(self) -> list[str]:
        """Every topic that a tool of the kind retained reads."""
        names = self.placeholders
        rows = itertools.product(*(self.levels[name] for name in names))
        return [self.topic_of(dict(zip(names, row, strict=True))) for row in rows]

    def topic_of(self, arguments: Mapping[str, Any]) -> str:
        """The topic that a call means, whose arguments are as `parameters` has them."""
        return PLACEHOLDER.sub(lambda found: str(arguments[found[1]]), self.topic or "")

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of a call's arguments; what has one value alone is not asked for."""
        properties: dict[str, Any] = {name: _of_level(self.levels[name]) for name in self.placeholders}
        if isinstance(self.payload, dict):
            properties["payload"] = self.payload
        elif self.payload and len(self.payload) > 1:
            properties["payload"] = {"enum": self.payload}
        if len(self.values) > 1:
            properties["value"] = {"enum": list(self.values)}
        required = list(properties)
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def is_level(text: str) -> bool:
    """Whether a text can stand in a topic's placeholder."""
    return len(text) <= LEVEL_CHARACTERS_MAX and bool(ONE_LEVEL.fullmatch(text)) and not UNUSABLE.search(text)


def _of_level(may_be: list[str] | str) -> dict[str, Any]:
    if isinstance(may_be, str):
        return {"type": "string", "pattern": whole(may_be)}
    return {"enum": may_be}


Tools = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")], Tool],
    Field(max_length=TOOLS_MAX),
]


def described(kind: ToolKind) -> list[tuple[str, str]]:
    """The keys of a tool of a kind, and what each means."""
    keys = OF_EVERY_KIND | OF_KIND[kind]
    return [(name, field.description or "") for name, field in Tool.model_fields.items() if name in keys]


TOOL_KINDS: tuple[ToolKind, ...] = get_args(ToolKind)
