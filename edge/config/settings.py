"""All sections together, and where their values are looked for."""

from __future__ import annotations

import os
import re
import socket
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from edge.config.assist import Assist
from edge.config.doors import HomeAssistant, Prometheus
from edge.config.files import config_file, read_credentials, read_toml
from edge.config.http import Http
from edge.config.models import Models
from edge.config.prompts import Prompts
from edge.config.scorers import Scorers
from edge.config.sections import (
    Broker,
    Documents,
    Engine,
    EngineKind,
    Governor,
    Journal,
    Limits,
    Store,
    Telemetry,
)
from edge.config.tools import Tools
from edge.config.upstream import Upstream
from edge.errors import ConfigError
from edge.wire.topics import LEVEL, Topics


class _Environment(EnvSettingsSource):
    """`EDGE_…`, and `EDGE_ENGINE=genai` for `EDGE_ENGINE__KIND=genai`."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """A section given as one variable: JSON, or the engine's kind."""
        if field_name == "engine" and value in get_args(EngineKind):
            return {"kind": value}
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError as error:
            name = next((name for name, each in os.environ.items() if name.startswith("EDGE_") and each == value), "")
            raise ConfigError(f'the variable {name}: {value!r} is no JSON; a list is written ["a", "b"]') from error


def _hostname() -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64].lstrip("._-") or "board"


FLEET_SPARE = 4
"""Requests of the fleet that wait here for a row, beside those that run."""


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="EDGE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    device: Annotated[str, Field(pattern=rf"^{LEVEL.pattern}$")] = Field(
        default_factory=_hostname, description="name of this board in every topic; its host name by default"
    )
    fleet: Annotated[str, Field(pattern=rf"^{LEVEL.pattern}$")] | None = Field(
        default=None, description="name under which several boards share requests (MQTT shared subscriptions)"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="how much is logged")
    tools: Tools = Field(
        default={}, description="what a model may have this board do: nothing but what has a table of its own below"
    )
    models: Models = Field(
        default={}, description="further bundles that requests may name: those that have a table of their own below"
    )
    scorers: Scorers = Field(
        default={},
        description="functions that weigh an answer's next token: those that have a table of their own below",
    )
    broker: Broker = Broker()
    engine: Engine = Field(default_factory=Engine)
    limits: Limits = Limits()
    journal: Journal = Field(default_factory=Journal)
    telemetry: Telemetry = Telemetry()
    governor: Governor = Governor()
    home_assistant: HomeAssistant = HomeAssistant()
    prometheus: Prometheus = Prometheus()
    upstream: Upstream = Upstream()
    http: Http = Http()
    assist: Assist = Assist()
    store: Store = Field(default_factory=Store)
    documents: Documents = Field(default_factory=Documents)
    prompts: Prompts = Prompts()

    @field_validator("fleet")
    @classmethod
    def _is_no_device(cls, fleet: str | None, info: ValidationInfo) -> str | None:
        if fleet is not None and fleet == info.data.get("device"):
            raise ValueError(f"{fleet} is what the device is called, which has these topics: name the fleet otherwise")
        return fleet

    @property
    def topics(self) -> Topics:
        """The topics of the device."""
        return Topics(self.device, self.fleet, tuple(self.limits.response_topics))

    @property
    def fleet_window(self) -> int:
        """Requests of the fleet that the broker may send before the first is answered: few, so that no board hoards."""
        return self.engine.rows + FLEET_SPARE

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - ours stands in its place
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """First wins: arguments, environment, edge.toml, credentials."""
        file = InitSettingsSource(settings_cls, read_toml(config_file()))
        return init_settings, _Environment(settings_cls), file, InitSettingsSource(settings_cls, read_credentials())
