"""Settings, from the environment (`EDGE_…`), `edge.toml`, systemd credentials and the defaults below, in that order.

One section a room. `EDGE_BROKER__HOST=10.0.0.2` and

    [broker]
    host = "10.0.0.2"

say the same. A credential is a file in `$CREDENTIALS_DIRECTORY` named `broker_password`.
"""

from __future__ import annotations

import os
import re
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from edge.bundle import Provider
from edge.errors import ConfigError
from edge.wire.chat import Priority
from edge.wire.topics import LEVEL, RESPONSE_TOPICS, Topics

CONFIG_VARIABLE = "EDGE_CONFIG"
CREDENTIALS = {"broker_username": ("broker", "username"), "broker_password": ("broker", "password")}
DEFAULT_FILES = (Path("edge.toml"), Path("/etc/edge-slm/edge.toml"))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Broker(_Section):
    """`[broker]`: how to reach the MQTT broker."""

    host: str = Field(default="127.0.0.1", description="name or address of the broker")
    port: int = Field(default=1883, ge=1, le=65535, description="TCP port; 8883 is usual with TLS")
    protocol: Literal["5", "3.1.1"] = Field(default="5", description="MQTT version to speak")
    username: str | None = Field(default=None, description="user name, where the broker wants one")
    password: SecretStr | None = Field(default=None, description="password; better as a credential than in a file")
    tls_ca: Path | None = Field(default=None, description="certificates to trust; turns TLS on")
    tls_certificate: Path | None = Field(default=None, description="our certificate, for brokers that check it")
    tls_key: Path | None = Field(default=None, description="our certificate's key")
    keepalive_seconds: int = Field(default=30, ge=5, le=3600, description="silence after which a ping is sent")
    session_expiry_seconds: int = Field(
        default=3600, ge=0, le=2**32 - 2, description="how long the broker keeps requests for us while we are away"
    )
    receive_maximum: int = Field(
        default=64, ge=1, le=65535, description="requests that the broker may send before the first is on our disk"
    )

    @field_validator("host")
    @classmethod
    def _is_seen_whole(cls, host: str) -> str:
        if not host or not host.isprintable() or " " in host:
            raise ValueError(f"{host!r} is empty, or has a space or what is not seen")
        try:
            host.encode("idna")  # as the resolver will
        except UnicodeError as error:
            raise ValueError(f"{host!r} cannot be a host's name: {error}") from error
        return host

    @model_validator(mode="after")
    def _certificates_are_together(self) -> Self:
        if (self.tls_certificate or self.tls_key) and not self.tls_ca:
            raise ValueError("tls_certificate and tls_key are for TLS, which tls_ca turns on: name it, too")
        if self.tls_key and not self.tls_certificate:
            raise ValueError("tls_key is the key of tls_certificate: name it, too")
        return self


def _cache_folder() -> Path:
    given = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    return Path(given or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-slm")


EngineKind = Literal["auto", "batched", "genai"]


class Engine(_Section):
    """`[engine]`: which model answers, and on what."""

    bundle: Path = Field(default=Path("/srv/edge-slm/bundle"), description="folder of the bundle")
    provider: Provider = Field(default="cpu", description="execution provider")
    kind: EngineKind = Field(
        default="auto",
        description="our own batched engine, onnxruntime-genai's, or whichever suits bundle and provider;"
        " EDGE_ENGINE=genai says it for short",
    )
    threads: int = Field(default=0, ge=0, le=256, description="threads of the engine; 0 takes every core")
    rows: int = Field(default=8, ge=1, le=64, description="answers that the batched engine works on at once")
    kv_bytes: int | None = Field(
        default=None, ge=1, description="memory for keys and values of all answers; half of what is free by default"
    )
    prefix_bytes: int | None = Field(
        default=None,
        ge=0,
        description="memory for the beginnings of earlier texts; an eighth of what is free by default, 0 for none",
    )
    cache_folder: Path = Field(
        default_factory=_cache_folder,
        description="what makes the next start faster; systemd's $CACHE_DIRECTORY, else ~/.cache/edge-slm",
    )
    prefix_disk_bytes: int | None = Field(
        default=None,
        ge=0,
        description="what beginnings that were of use may take there; 1 GiB by default, none on an SD card",
    )
    packs: bool | None = Field(
        default=None,
        description="keep weights there as this processor wants them, thrice the bundle's size; not on an SD card"
        " by default",
    )
    drafts: bool = Field(default=True, description="guess ahead where an answer repeats what was said before")
    verify_hashes: bool = Field(
        default=True,
        description="check at start the hash of every file not checked as it is within 7 days, not sizes alone",
    )
    prefill_slice_tokens: int = Field(
        default=128,
        ge=16,
        le=8192,
        description="tokens of a prompt that are read at a time; fewer where answers wait",
    )
    growth_bytes: int = Field(
        default=1 << 30,
        ge=0,
        description="memory that the engine may take beyond what it took to get ready and prefix_bytes; over that it is"
        " started anew when nothing runs",
    )
    load_seconds: float = Field(default=300, gt=0, description="time the model may take to load and warm up")
    stall_seconds: float = Field(default=120, gt=0, description="silence of a working engine after which it is killed")


def _state_folder() -> Path:
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given or Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "edge-slm")


class Limits(_Section):
    """`[limits]`: what is accepted, and how much of it."""

    queue_length: int = Field(default=16, ge=1, le=10_000, description="requests that may wait")
    queue_per_client: int = Field(default=8, ge=1, le=10_000, description="requests of one client that may wait")
    response_topics: list[Annotated[str, Field(min_length=1)]] = Field(
        default=list(RESPONSE_TOPICS),
        description="what a response topic may begin with; {client} stands for the level of the asker's own topic",
    )
    payload_bytes: int = Field(default=262_144, ge=1024, description="largest payload that is read")
    picture_bytes: int = Field(
        default=8 << 20, ge=1024, description="largest payload that is read where it has pictures"
    )
    picture_folder: Path | None = Field(
        default=None, description="folder of this board whose pictures may be asked about by name; none by default"
    )
    max_tokens: int = Field(default=512, ge=1, description="length of an answer whose asker sets none")
    max_tokens_ceiling: int | None = Field(
        default=None, ge=1, description="longest answer that may be asked for; what the context holds by default"
    )
    priority_ceiling: Priority = Field(default="high", description="highest priority that may be asked for")
    share_beginnings: bool = Field(
        default=False,
        description="what one client has asked makes the same beginning faster for all, which tells them of it",
    )
    stop_unheard: bool = Field(
        default=True, description="stop a streamed answer when the broker says that nobody subscribes to its topic"
    )
    stop_seconds: float = Field(default=20, ge=0, description="time a running answer has when the daemon must stop")


class Journal(_Section):
    """`[journal]`: what is kept on disk, so that nothing accepted is lost."""

    folder: Path = Field(
        default_factory=_state_folder,
        description="where the journal lies; systemd's $STATE_DIRECTORY, else ~/.local/state/edge-slm",
    )
    keep_seconds: float = Field(default=3600, ge=0, description="time a delivered answer is kept for a repeat")
    keep_count: int = Field(default=10_000, ge=0, description="delivered answers that are kept")
    max_bytes: int = Field(default=64 << 20, ge=1 << 20, description="largest size of the file")


class Telemetry(_Section):
    """`[telemetry]`: what the board tells of itself."""

    period_seconds: float = Field(default=10, gt=0, description="time between two readings")
    root: Path = Field(default=Path("/"), description="where /proc and /sys are looked for")


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
    broker: Broker = Broker()
    engine: Engine = Field(default_factory=Engine)
    limits: Limits = Limits()
    journal: Journal = Field(default_factory=Journal)
    telemetry: Telemetry = Telemetry()

    @property
    def topics(self) -> Topics:
        """The topics of the device."""
        return Topics(self.device, self.fleet, tuple(self.limits.response_topics))

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
        file = InitSettingsSource(settings_cls, _read_toml(config_file()))
        return init_settings, _Environment(settings_cls), file, InitSettingsSource(settings_cls, _read_credentials())


def load_settings(**overrides: Any) -> Settings:
    """The settings in force; ConfigError naming the file and line, or the variable, and what was expected."""
    _refuse_unknown_variables()
    try:
        return Settings(**overrides)
    except ValidationError as error:
        found = [(tuple(str(part) for part in each["loc"]), each["msg"]) for each in error.errors()]
        lines = [_explain(path, message.removeprefix("Value error, "), path[0] in overrides) for path, message in found]
        raise ConfigError("\n".join(lines)) from error


def config_file() -> Path | None:
    """The file that `$EDGE_CONFIG` names, else ./edge.toml or /etc/edge-slm/edge.toml where there is one."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return next((path for path in DEFAULT_FILES if path.is_file()), None)


def _read_toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # with the mark that some editors put before it
        is_secret = "password" in found.get("broker", {})
        if is_secret and path.stat().st_mode & 0o007:
            raise ConfigError(
                f"{path} holds broker.password and can be read by everyone; `chmod 640 {path}`,"
                " or use systemd's LoadCredential=broker_password"
            )
        return found
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _read_credentials() -> dict[str, Any]:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    found: dict[str, Any] = {}
    for name, (section, key) in CREDENTIALS.items():
        path = Path(folder) / name if folder else None
        if path and path.is_file():
            found.setdefault(section, {})[key] = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    return found


def _refuse_unknown_variables() -> None:
    """An EDGE_ variable that means nothing is a typing error that would go unnoticed."""
    known = {CONFIG_VARIABLE, "EDGE_CACHE", "EDGE_ENGINE"} | {
        f"EDGE_{'__'.join(path)}".upper() for path, _ in describe()
    }
    unknown = sorted(name for name in os.environ if name.startswith("EDGE_") and name.upper() not in known)
    if unknown:
        raise ConfigError(f"the variable {unknown[0]} is not a setting; `edge serve --print-config` lists them")


def describe() -> list[tuple[tuple[str, ...], str]]:
    """Every key as its path and what it means."""
    keys: list[tuple[tuple[str, ...], str]] = []
    for name, info in Settings.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            keys += [((name, key), inner.description or "") for key, inner in section.model_fields.items()]
        else:
            keys.append(((name,), info.description or ""))
    return keys


def _explain(path: tuple[str, ...], message: str, is_argument: bool) -> str:
    """Where a wrong key was set, and what is wrong with it."""
    variable = f"EDGE_{'__'.join(path)}".upper()
    set_there = f"the variable {variable}" if variable in os.environ else _line_of(path)
    return f"{'on the command line' if is_argument else set_there}: {'.'.join(path)}: {message}"


def _line_of(path: tuple[str, ...]) -> str:
    """The line of edge.toml that sets a key; the file's name where it cannot be told."""
    file = config_file()
    if file is None or not file.is_file():
        return "settings"
    section = ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if header := re.fullmatch(r"\s*\[([\w.]+)\]\s*(#.*)?", line):
            section = header[1]
        key = re.match(r"\s*([\w-]+)\s*=", line)
        if (key and ".".join(filter(None, (section, key[1]))) == ".".join(path)) or section == ".".join(path):
            return f"{file}, line {number}"
    return str(file)
