"""What has changed on a board, one message a change: `edge/<device>/event`. `edge schema event` prints it.

Some things begin and end (`is_on`), others happen (an engine was begun anew), and the governor goes from one state to
another. Nothing is retained: who comes later reads the state of things from `telemetry`. The daemon does not import
this; the tests hold its messages to it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid")

    time: float = Field(description="seconds since 1970")
    reason: str | None = Field(default=None, description="in words, for people")


class Lasting(_Event):
    """What has two ends: the board slows itself down, has too little voltage, is short of memory."""

    event: Literal["throttled", "under_voltage", "low_memory"]
    is_on: bool = Field(description="whether it began; it ended else")


class SensorFailed(_Event):
    """A source of readings that fails, or is well again."""

    event: Literal["sensor_failed"]
    is_on: bool = Field(description="whether it began to fail; it is well again else")
    sensor: str = Field(description="its key in the telemetry")


class EngineBegun(_Event):
    """The engine was started anew: after it had died, or since it had grown."""

    event: Literal["engine_restarted", "engine_recycled"]


class ModelMoved(_Event):
    """A bundle beside the one in use (`[models.NAME]`) was loaded, or let go; which, and why, is the reason."""

    event: Literal["model_loaded", "model_unloaded"]


class GovernorChanged(_Event):
    """The governor went into another state."""

    event: Literal["governor"]
    state: Literal["off", "free", "slowed", "blind"] = Field(description="as the telemetry's governor.state")


class BundleChanged(_Event):
    """Another bundle is tried; then it is kept, or the old one is back (`edge/wire/reported.py` has the states)."""

    event: Literal["bundle_tried", "bundle_kept", "bundle_rolled_back"]
    bundle: str = Field(description="its name")
    version: str
    digest: str = Field(description="sha256 of its manifest.json, in hex")


_Any = Lasting | SensorFailed | EngineBegun | ModelMoved | GovernorChanged | BundleChanged


class Event(RootModel[Annotated[_Any, Field(discriminator="event")]]):
    """`edge/<device>/event`."""
