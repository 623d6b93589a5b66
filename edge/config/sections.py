"""What can be set, a section a room, each key with its default, its bounds and what it means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from edge.bundle import Provider
from edge.wire.chat import Priority
from edge.wire.topics import LEVEL, RESPONSE_TOPICS


class Section(BaseModel):
    """One `[section]` of edge.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Broker(Section):
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


EngineKind = Literal["auto", "batched", "genai", "static"]


class Engine(Section):
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
    draft: str = Field(
        default="",
        description="folder of a smaller bundle with the same tokens that guesses ahead where that is faster, or its"
        " name in [models] or beside the bundle; none by default",
    )
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


class Limits(Section):
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
    commands: bool = Field(
        default=False,
        description="take `restart` and `unload`, for the engine, and `drain` and `resume` from edge/<device>/command",
    )
    inherit_seconds: float = Field(
        default=30,
        ge=1,
        description="time that a board of the fleet may be away before another takes over what waits for it",
    )
    tool_rounds: int = Field(
        default=4, ge=1, le=16, description="calls of the board's tools for one answer, before it is in words"
    )
    stop_seconds: float = Field(default=20, ge=0, description="time a running answer has when the daemon must stop")


class Journal(Section):
    """`[journal]`: what is kept on disk, so that nothing accepted is lost."""

    folder: Path = Field(
        default_factory=_state_folder,
        description="where the journal lies; systemd's $STATE_DIRECTORY, else ~/.local/state/edge-slm",
    )
    keep_seconds: float = Field(default=3600, ge=0, description="time a delivered answer is kept for a repeat")
    keep_count: int = Field(default=10_000, ge=0, description="delivered answers that are kept")
    max_bytes: int = Field(default=64 << 20, ge=1 << 20, description="largest size of the file")


class Documents(Section):
    """`[documents]`: texts of this board that answers may come from, where a request asks for that."""

    folder: Path = Field(
        default_factory=lambda: _state_folder() / "documents",
        description="where their indexes lie, NAME.index each, beside those that the bundle brings; documents below"
        " journal.folder's default by default",
    )
    tokens: int = Field(
        default=768, ge=64, le=32_768, description="of them that a question gets; fewer where the context has no room"
    )
    pieces: int = Field(default=8, ge=1, le=64, description="of them that a question gets at most")
    when_nothing: Literal["say", "answer"] = Field(
        default="say",
        description="where nothing in them fits a question: say documents.nothing_text, or have the model answer"
        " without them",
    )
    nothing_text: Annotated[str, Field(min_length=1, max_length=2000)] = Field(
        default="I found nothing about that in the documents.", description="what is said then"
    )


class Store(Section):
    """`[store]`: the bundles on this board, where new ones come from, and how one is tried before it is kept."""

    folder: Path = Field(
        default_factory=lambda: _state_folder() / "store",
        description="where installed bundles lie; store below journal.folder's default by default",
    )
    repository: str | None = Field(
        default=None,
        description="signed repository that bundles come from: a folder, or an address with http:// or https://",
    )
    root: Path = Field(
        default=Path("/etc/edge-slm/root.json"),
        description="the repository's first root metadata (TUF), which all trust begins with",
    )
    channel: Annotated[str, Field(pattern=rf"^{LEVEL.pattern}$")] = Field(
        default="stable", description="which of the repository's channels this board follows"
    )
    signers: Path | None = Field(
        default=None,
        description="folder of public keys and authorities' certificates (PEM), one of which must have signed a"
        " bundle's files; none by default, where the repository's own signatures are enough",
    )
    desired: bool = Field(
        default=False, description="install and try the bundle that edge/<device>/desired, or the fleet's, names"
    )
    latest_seconds: float = Field(
        default=0,
        ge=0,
        description="time between two looks at the repository for the newest version of the bundle in use, which"
        " edge/<device>/reported tells and Home Assistant shows; 0: it is never asked",
    )
    speed_floor: float = Field(
        default=0.7, ge=0, le=10, description="share of the old bundle's tokens a second that a new one must reach"
    )
    trial_seconds: float = Field(
        default=600, gt=0, description="time that a new bundle may take to load and to answer its golden prompts"
    )
    probation_seconds: float = Field(
        default=600, ge=0, description="time that a new bundle answers before it is kept; a fault in it brings the old"
    )
    previous_count: int = Field(default=1, ge=0, le=16, description="bundles kept beside the one in use, to go back to")

    @field_validator("repository")
    @classmethod
    def _is_folder_or_address(cls, repository: str | None) -> str | None:
        is_one = repository is None or repository.startswith(("/", "http://", "https://"))
        if not is_one:
            raise ValueError(f"{repository!r} is neither a folder's whole path nor an http:// or https:// address")
        if repository and not repository.startswith("/") and set("@?#") & set(repository):
            raise ValueError("the address has @, ? or #, but no password or query is sent, and reports tell it")
        return repository


class Telemetry(Section):
    """`[telemetry]`: what the board tells of itself."""

    period_seconds: float = Field(default=10, gt=0, description="time between two readings")
    root: Path = Field(default=Path("/"), description="where /proc and /sys are looked for")

    @field_validator("root")
    @classmethod
    def _is_there(cls, root: Path) -> Path:
        if not root.is_dir():
            raise ValueError(f"{root} is not a folder: every reading would be missing")
        return root


BoardPreset = Literal[
    "raspberry-pi-5",
    "raspberry-pi-5-cooler",
    "raspberry-pi-5-passive",
    "raspberry-pi-4",
    "jetson-orin-nano",
    "jetson-orin-nano-no-fan",
    "rk3588",
    "phone",
    "x86",
    "unknown",
]
Share = Annotated[float, Field(ge=0.05, le=1)]


class Governor(Section):
    """`[governor]`: how the board looks after itself. A power is a share of what full work adds to an idle board's."""

    enabled: bool = Field(default=True, description="slow the engine down before the board must; false never does")
    preset: BoardPreset | None = Field(
        default=None, description="how the board heats up; by what it is and whether it has a fan by default"
    )
    limit_celsius: float | None = Field(
        default=None, ge=30, le=110, description="temperature to stay below; the board's own by default"
    )
    margin_celsius: float | None = Field(
        default=None, ge=0, le=20, description="how far below; 3 on a Raspberry Pi, 2 on a phone, else 5 by default"
    )
    duty_min: Share = Field(default=0.1, description="share of the time that the engine works, however hot it is")
    under_voltage_power: Share = Field(default=0.5, description="power while the supply's voltage is too low")
    throttled_power: Share = Field(
        default=0.75, description="power while the board throttles itself and no temperature tells why"
    )
    battery_low_percent: float = Field(
        default=20, ge=0, le=100, description="charge below which a battery that is not charged is spared; 0 never"
    )
    battery_low_power: Share = Field(default=0.5, description="power while it is spared")
    battery_refuse_percent: float = Field(
        default=10, ge=0, le=100, description="charge below which requests are refused; 0 never"
    )
    memory: bool = Field(
        default=True, description="give memory back, take short requests alone, then none, while memory is short"
    )
