"""When a board announces itself to Home Assistant, and when it takes that back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config import Settings
from edge.doors.discovery import identifier
from edge.doors.home_assistant import BIRTH_SECONDS_MAX, HomeAssistant, Withdrawal, home_assistant, spread
from edge.testing.inside import MemoryInside
from edge.wire.message import Message
from edge.wire.topics import LEVEL
from tests.edge.doors.bodies import BARE, JETSON, PHONE, PI

TOPIC = "homeassistant/device/edge-pi/config"


def settings(folder: Path, announce: bool = True, **more: Any) -> Settings:
    """Those of a board named `pi`."""
    wanted = {"announce": announce, **more}
    return Settings(device="pi", journal={"folder": folder}, home_assistant=wanted)


class Rig:
    """A door that is open, and what it has published."""

    def __init__(self, door: HomeAssistant | Withdrawal) -> None:
        self.door, self.inside = door, MemoryInside()
        self.published = self.inside.published

    def components(self) -> dict[str, Any]:
        """Of the last message."""
        return dict(json.loads(self.published[-1].payload)["cmps"])


@contextlib.asynccontextmanager
async def opened(door: HomeAssistant | Withdrawal) -> AsyncIterator[Rig]:
    """A door within a daemon's life."""
    rig = Rig(door)
    running = asyncio.create_task(door.run(rig.inside))
    await asyncio.sleep(0)
    try:
        yield rig
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(met: Callable[[], bool]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(5):
        while not met():
            await asyncio.sleep(0.005)


def at_once(made: Settings) -> HomeAssistant:
    """A door that does not wait after a birth."""
    return HomeAssistant(made, delay=lambda: 0.0)


def test_nothing_is_done_unless_asked_for(tmp_path):
    """The default is no door at all."""
    assert home_assistant(Settings(device="pi", journal={"folder": tmp_path})) == []
    assert list(tmp_path.iterdir()) == []


def test_it_announces_once_connected_and_with_readings(tmp_path):
    """Retained, with QoS 1, once for readings of the same kind; again at each connect."""

    async def scene() -> None:
        async with opened(at_once(settings(tmp_path))) as rig:
            rig.door.told(PI)
            assert rig.published == []
            rig.door.connected()
            rig.door.told(PI | {"time": 2.0})
            (message,) = rig.published
            assert (message.topic, message.qos, message.retain) == (TOPIC, 1, True)
            rig.door.connected()
            assert len(rig.published) == 2

    asyncio.run(scene())


def test_readings_may_come_after_the_connect(tmp_path):
    """Nothing is announced before it is known what there is."""

    async def scene() -> None:
        async with opened(at_once(settings(tmp_path))) as rig:
            rig.door.connected()
            assert rig.published == []
            rig.door.told(PI)
            assert len(rig.published) == 1

    asyncio.run(scene())


def test_a_broker_that_is_faster_than_its_task_loses_nothing(tmp_path):
    """A busy start may have the connection stand, and readings come, before the door's own life begins."""

    async def scene() -> None:
        door, inside = at_once(settings(tmp_path)), MemoryInside()
        door.connected()
        door.told(PI)
        async with opened(door) as rig:
            assert [message.topic for message in rig.published] == [TOPIC]
        (leaving,) = home_assistant(settings(tmp_path, announce=False))
        leaving.connected()
        running = asyncio.create_task(leaving.run(inside))
        await until(lambda: inside.published == [Message(TOPIC, b"", 1, retain=True)])
        running.cancel()

    asyncio.run(scene())


def test_a_birth_is_answered_after_a_delay(tmp_path):
    """Once for births that come close together, and not for a goodbye; what is on other topics is not for it."""
    delays: list[float] = []

    def delay() -> float:
        delays.append(0.05)
        return 0.05

    async def scene() -> None:
        async with opened(HomeAssistant(settings(tmp_path), delay)) as rig:
            rig.door.connected()
            rig.door.told(PI)
            for payload in (b"offline", b"online", b"online"):
                assert rig.door.hear(Message("homeassistant/status", payload))
            assert not rig.door.hear(Message("homeassistant/other", b"online"))
            await asyncio.sleep(0.01)
            assert len(rig.published) == 1
            await until(lambda: len(rig.published) == 2)
            assert delays == [0.05]

    asyncio.run(scene())
    assert all(0 <= spread() <= BIRTH_SECONDS_MAX for _ in range(100))
    assert len({spread() for _ in range(10)}) > 1


def test_what_comes_is_added_and_what_goes_is_taken_out(tmp_path):
    """A new sensor has the message sent again; of one that is absent only the platform is left, as HA wants it."""

    async def scene() -> None:
        async with opened(at_once(settings(tmp_path))) as rig:
            rig.door.connected()
            rig.door.told(PI)
            rig.door.told(JETSON)
            assert rig.components()["17000000_gpu_use"]["unit_of_meas"] == "%"
            rig.door.told(JETSON | {"gpu": {"each": {}}})
            assert rig.components()["17000000_gpu_use"] == {"p": "sensor"}
            rig.door.told(BARE)
            assert rig.components()["temperature"] == {"p": "sensor"}
            assert rig.components()["throttled"] == {"p": "binary_sensor"}

    asyncio.run(scene())


def test_what_fails_for_a_while_stays(tmp_path):
    """Its entities are unknown meanwhile; so are those of a slow source that has not answered yet after a restart."""

    async def scene() -> None:
        async with opened(at_once(settings(tmp_path))) as rig:
            rig.door.connected()
            rig.door.told(PI)
            before = rig.components()
            failing = {key: value for key, value in PI.items() if key not in ("thermal", "power")}
            rig.door.told(
                failing | {"failed": {"thermal": "Input/output error"}, "power": PI["power"] | {"watts": None}}
            )
            assert rig.components() == before
            assert len(rig.published) == 1
        async with opened(at_once(settings(tmp_path))) as again:
            again.door.connected()
            again.door.told(failing)
            assert again.components() == before

    asyncio.run(scene())


def test_an_entity_that_this_version_does_not_have_goes(tmp_path):
    """An earlier one left it in its file; its value is there, but nothing shows it any more."""

    async def scene() -> None:
        async with opened(at_once(settings(tmp_path))) as rig:
            rig.door.connected()
            rig.door.told(PI)
        (kept,) = tmp_path.iterdir()
        text = kept.read_text().replace('"load"', '"burden"').replace('"Load"', '"Burden"')
        kept.write_text(text)
        async with opened(at_once(settings(tmp_path))) as rig:
            rig.door.connected()
            rig.door.told(PI)
            assert rig.components()["burden"] == {"p": "sensor"}

    asyncio.run(scene())


def test_turned_off_it_takes_everything_back_once(tmp_path):
    """The empty retained message, at the first connect; then the file is gone, and the next start has nothing to do."""

    async def scene() -> None:
        async with opened(at_once(settings(tmp_path))) as rig:
            rig.door.connected()
            rig.door.told(PHONE)
        (door,) = home_assistant(settings(tmp_path, announce=False))
        assert isinstance(door, Withdrawal)
        async with opened(door):
            pass  # a daemon that never reached its broker
        left = [Withdrawal(settings(tmp_path, announce=False), found, 0.01) for found in [door.announced]]
        async with opened(left[0]) as rig:
            rig.door.told(PI)
            assert rig.door.hear(Message("homeassistant/status", b"online"))
            assert not rig.door.hear(Message("other", b"online"))
            rig.door.connected()
            rig.door.connected()
            await until(lambda: len(rig.published) == 1)
            assert rig.published == [Message(TOPIC, b"", 1, retain=True)]
            await until(lambda: not list(tmp_path.iterdir()))
        assert home_assistant(settings(tmp_path, announce=False)) == []

    asyncio.run(scene())


def test_another_prefix_takes_the_old_topic_back(tmp_path):
    """Home Assistant would else have the board twice."""

    async def scene() -> None:
        async with opened(at_once(settings(tmp_path))) as rig:
            rig.door.connected()
            rig.door.told(PI)
        async with opened(at_once(settings(tmp_path, prefix="other/place"))) as rig:
            rig.door.connected()
            rig.door.told(PI)
            topics = [(message.topic, bool(message.payload)) for message in rig.published]
            assert topics == [(TOPIC, False), ("other/place/device/edge-pi/config", True)]

    asyncio.run(scene())


@pytest.mark.parametrize("text", ["", "[]", '{"topic": 5}', "\0" * 100])
def test_a_damaged_file_is_no_reason_to_fail(tmp_path, text):
    """What it said is lost; turned off, the topic that the settings name is cleared all the same."""
    (tmp_path / "pi.home-assistant.json").write_text(text)
    (door,) = home_assistant(settings(tmp_path, announce=False))
    assert door.announced.topic == TOPIC
    assert HomeAssistant(settings(tmp_path))


def test_a_folder_that_takes_no_file_is_told_and_announced_from(tmp_path, caplog):
    """A full disk costs the memory of what was announced, nothing else."""
    (tmp_path / "file").write_text("")

    async def scene() -> None:
        async with opened(at_once(settings(tmp_path / "file"))) as rig:
            rig.door.connected()
            rig.door.told(PI)
            assert len(rig.published) == 1

    asyncio.run(scene())
    assert "cannot be written" in caplog.text


def test_buttons_are_there_where_commands_are_taken(tmp_path):
    """Not else: the daemon does not listen to them."""

    async def scene(commands: bool) -> set[str]:
        made = Settings(
            device="pi",
            journal={"folder": tmp_path / str(commands)},
            home_assistant={"announce": True},
            limits={"commands": commands},
        )
        async with opened(at_once(made)) as rig:
            rig.door.connected()
            rig.door.told(PI)
            return {key for key, each in rig.components().items() if each["p"] == "button"}

    assert asyncio.run(scene(False)) == set()
    assert asyncio.run(scene(True)) == {"restart_engine", "unload_engine"}


def test_every_name_of_a_board_makes_a_topic_that_is_its_own():
    """Discovery topics take no dot (home-assistant.io/integrations/mqtt, "Discovery topic")."""
    names = ["pi", "pi.local", "pi-local", "pi_local", "a.b.c", "a-b.c", "a.b-c", "0"]
    found = [identifier(name) for name in names]
    assert all(LEVEL.fullmatch(name) for name in names)
    assert all(set(each) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") for each in found)
    assert len(set(found)) == len(names)
