"""`edge doctor`: what it finds in readings, on this machine and of a board elsewhere; each finding says what to do."""

from __future__ import annotations

import contextlib
import copy
import datetime
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.board.sensors import read_all
from edge.board.sources import every_source
from edge.commands import doctor_board, doctor_machine
from edge.commands.doctor import board as board_check
from edge.commands.findings import Finding, found_by, report
from edge.commands.status_lines import wants_a_look
from edge.config import Engine, Governor, Settings, Telemetry
from edge.testing import scripted_manifest, write_tree
from tests import boards
from tests.conftest import embedded_broker
from tests.edge.commands.program import Board, ended, started
from tests.edge.commands.readings import GIB, INFO, QUIET, quiet, reading, sections
from tests.edge.commands.test_status import ANYTHING


def found_in(body: dict[str, Any], name: str) -> list[Finding]:
    """What one check finds in a reading."""
    return list(found_by(lambda: doctor_board.ALL[name](body)))


def grades(body: dict[str, Any]) -> set[str]:
    """Of all that is found in a reading."""
    return {finding.grade for name in doctor_board.ALL for finding in found_in(body, name)}


def changed(section: str, **values: Any) -> dict[str, Any]:
    """A good board's reading but for some values of a section."""
    body = good()
    body[section] = {**body[section], **values}
    return body


def good() -> dict[str, Any]:
    """A board that has everything and no trouble."""
    body = reading(denied={}, **copy.deepcopy(sections()))
    body["thermal"]["hottest_celsius"] = 48.0
    body["memory"]["pressure_percent"] = 0.0
    body["cpu"]["each"][0]["clock_cap_hertz"] = 2400000000
    body["throttling"].update(now=QUIET, since_start=QUIET)
    body["governor"].update(state="free", reason="", clock_cap_hertz=None, memory="enough")
    return body


FINDINGS = {
    "hot jetson": (
        changed("thermal", hottest_celsius=96.0, trips={"cpu": [{"type": "passive", "celsius": 95.0}]}),
        *("heat", "look", "a fan"),
    ),
    "hot": (changed("thermal", hottest_celsius=82.0), "heat", "look", "a fan"),
    "throttled": (changed("throttling", now={**QUIET, "throttled": True}), "heat", "look", "throttled.*a heat sink"),
    "was": (changed("throttling", since_start={**QUIET, "clock_capped": True}), "heat", "look", "has slowed itself"),
    "undervolted": (changed("throttling", now={**QUIET, "under_voltage": True}), "power", "BAD", "5.07 V.*cable"),
    "was short": (
        changed("throttling", since_start={**QUIET, "under_voltage": True}),
        "power",
        "look",
        "a short thick",
    ),
    "weak": (changed("power", supply_volts=4.7), "power", "look", "4.70 V, which is little"),
    "capped": (changed("cpu", each=sections()["cpu"]["each"]), "clock", "look", "2400000 to each scaling_max_freq"),
    "full": (changed("memory", available_bytes=GIB // 2), "memory", "look", "a smaller bundle"),
    "waiting": (changed("memory", pressure_percent=30.0), "memory", "look", "stop what else runs"),
    "low": (changed("battery", level_percent=9), "battery", "look", "charge it"),
    "disk": (
        changed("disk", folders={"bundle": None, "journal": {"total_bytes": 64 * GIB, "free_bytes": GIB}}),
        *("disk", "look", "make room"),
    ),
    "restarts": (changed("inference", engine_restarts=3), "engine", "look", "3 times.*journalctl"),
    "expired": (changed("inference", answers_expired=2), "engine", "look", "2 answers found no broker"),
    "late": ({**good(), "late_seconds": 4.0}, "engine", "look", "4.0 s late"),
    "blind": (changed("governor", state="blind", reason="no zone"), "governor", "look", "no zone.*can be read"),
    "slowed": (
        changed("governor", state="slowed", reason="too hot"),
        "governor",
        "look",
        "slowed: too hot; better cool",
    ),
    "kept out": (
        changed("governor", memory="refuse", reason="little is left"),
        *("governor", "look", "free: little is left; memory: refuse; stop what else runs"),
    ),
    "vcio": ({**good(), "denied": {"power": "dev/vcio: permission denied"}}, "sensors", "look", "group video"),
    "said": ({**good(), "denied": {"power": "x: permission denied: join y"}}, "sensors", "look", "denied: join y$"),
    "rapl": (
        {**good(), "denied": {"power": "sys/class/powercap/intel-rapl:0/energy_uj: permission denied"}},
        *("sensors", "look", "root's alone"),
    ),
    "denied": ({**good(), "denied": {"power": "sys/x: permission denied"}}, "sensors", "look", "usermod -aG GROUP"),
    "part failed": ({**good(), "failed": {"thermal": "a: EIO: x"}}, "sensors", "look", "cannot be read whole: a: EIO"),
    "not all asleep": (
        {**good(), "failed": {"thermal": "a: EAGAIN: x; b: EAGAIN: x; c: EAGAIN: x; and 2 more"}},
        *("sensors", "look", "2 more"),
    ),
    "failed": ({**good(), "failed": {"wind": "EIO"}}, "sensors", "BAD", "wind cannot be read: EIO.*dmesg"),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_says_what_to_do(name):
    """Each trouble by itself: its line, how bad it is, and the advice."""
    body, check, grade, words = FINDINGS[name]
    found = [finding for finding in found_in(body, check) if finding.grade != "ok"]
    assert [finding.grade for finding in found] == [grade], found
    assert re.search(words, found[0].text), found


def test_a_good_board_is_well():
    """Everything there and nothing to do; a governor's own cap is no trouble either."""
    assert grades(good()) == {"ok"}
    asleep = {**good(), "failed": {"thermal": "sys/a/temp: EAGAIN: x; sys/b: ENODATA: y"}}
    assert grades(asleep) == {"ok"}
    jetson = changed("thermal", hottest_celsius=90.0, trips={"cpu": [{"type": "passive", "celsius": 95.0}]})
    assert grades(jetson) == {"ok"}
    cooling = changed("throttling", now={**QUIET, "throttled": True})
    cooling["cpu"]["each"] = sections()["cpu"]["each"]
    assert [grade for _, grade in found_in(cooling, "clock")] == ["ok"]
    held = changed("governor", clock_cap_hertz=1800000000)
    held["cpu"]["each"][0]["clock_cap_hertz"] = 1800000000
    assert [text for text, _ in found_in(held, "clock")] == ["held to 1.80 GHz of 2.40 GHz by the board's own governor"]


@pytest.mark.parametrize("gone", [*sections(), "all"])
def test_what_is_absent_is_not_bad(gone):
    """A board without a sensor, or without any, has nothing to be looked at; nor has one whose sensors know nothing."""
    body = {**quiet(), "absent": list(sections())} if gone == "all" else {**good(), "absent": [gone]}
    body.pop(gone, None)
    assert grades(body) == {"ok"}
    blind = {**quiet(), "absent": ["thermal"]}
    blind["governor"].update(state="blind", reason="no temperature is known")
    assert grades(blind) == {"ok"}
    assert not wants_a_look("governor", {"telemetry": blind})
    nothing = good()
    nothing["throttling"].update(now=dict.fromkeys(QUIET), since_start=dict.fromkeys(QUIET))
    nothing["power"].update(watts=None, supply_volts=None)
    nothing["thermal"]["hottest_celsius"] = nothing["battery"]["level_percent"] = None
    assert grades(nothing) == {"ok"}


@pytest.mark.parametrize("name", boards.NAMES)
def test_whole_boards(name, tmp_path):
    """Of every tree: each check finds something that it can say, and each sensor is accounted for."""
    planted = boards.plant(name, tmp_path)
    sources = every_source({}, lambda: boards.PROCESSES)
    body = json.loads(json.dumps(read_all(sources, planted.root, planted.read).body()))
    assert not [text for check in doctor_board.ALL for text, _ in found_in(body, check) if "cannot be read (" in text]
    said = "\n".join(text for text, _ in found_in(body, "sensors"))
    assert all(source.name in said for source in sources)


@given(st.data())
def test_whatever_a_board_says_is_a_finding(data):
    """Any JSON in any place: no error gets out, and every line is one line."""
    body = good()
    name = data.draw(st.sampled_from(sorted(body)))
    if isinstance(body[name], dict) and body[name] and data.draw(st.booleans()):
        body[name] = {**body[name], data.draw(st.sampled_from(sorted(body[name]))): data.draw(ANYTHING)}
    else:
        body[name] = data.draw(ANYTHING)
    found = {"status": {"state": data.draw(ANYTHING), "reason": "\n"}, "info": data.draw(ANYTHING), "telemetry": body}
    checks = {name: lambda check=check: check(body) for name, check in doctor_board.ALL.items()}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        report({**checks, "board": lambda: board_check(found)})
    lines = out.getvalue().splitlines()
    assert all(line.startswith(("ok   ", "look ", "BAD  ")) and len(line) < 700 for line in lines[:-1])


# --- this machine ---


def at(root: Path, **engine: Any) -> Settings:
    """Settings that look at a tree."""
    return Settings(telemetry=Telemetry(root=root), engine=Engine(**engine))


def test_a_clock_that_is_wrong():
    """A day before this was written is BAD; a clock that nothing keeps is to be looked at, an unknown one is not."""
    day = doctor_machine.WRITTEN
    assert doctor_machine.dated(datetime.date(1970, 1, 1), True).grade == "BAD"
    assert doctor_machine.dated(day, False).grade == "look"
    assert doctor_machine.dated(day, None).grade == doctor_machine.dated(day, True).grade == "ok"
    assert doctor_machine.is_kept() in (True, False, None)


@pytest.mark.parametrize(
    ("chosen", "driver", "is_slow"),
    [
        ("powersave", "cpufreq-dt", True),
        ("userspace", "cpufreq-dt", True),
        ("ondemand", "cpufreq-dt", False),
        ("powersave", "intel_pstate", False),
        ("powersave", "amd-pstate-epp", False),
        ("performance", "", False),
    ],
)
def test_who_chooses_the_clock(chosen, driver, is_slow, tmp_path):
    """A governor that holds the clock low, but not a driver that calls its usual way so."""
    folder = "sys/devices/system/cpu/cpufreq/policy0"
    root = write_tree(tmp_path, {f"{folder}/scaling_governor": f"{chosen}\n", f"{folder}/scaling_driver": driver})
    found = list(doctor_machine.clock(at(root)))
    assert bool(found) == is_slow
    assert not found or f"echo ondemand | sudo tee {root}/{folder}/scaling_governor" in found[0].text


GRADES = {"online": "ok", "unloaded": "ok", "loading": "look", "stopping": "BAD", "offline": "BAD"}


@pytest.mark.parametrize("state", GRADES)
def test_what_each_state_of_a_board_is_worth(state):
    """One that loads its model when it is asked is as good as one that has it."""
    first = next(board_check({"status": {"state": state}, "telemetry": {}}))
    assert first.grade == GRADES[state]
    assert ("loads its model" in first.text) == (state == "unloaded")


def governed(body: dict[str, Any], root: Path = Path(__file__).parent, **changed: Any) -> list[str]:
    """What is found of this machine's governor."""
    settings = Settings(telemetry=Telemetry(root=root), governor=Governor(**changed))
    return [text for text, _ in doctor_machine.governor(settings, body)]


def test_which_governor_is_in_use(tmp_path):
    """As which board, how warm it may get, and whether it may set clocks; the operator's word goes before."""
    assert "to stay below 77 °C by the preset raspberry-pi-5-cooler" in governed(good())[0]
    kept = governed(good(), preset="phone", limit_celsius=70, margin_celsius=4)
    assert "to stay below 66 °C by the preset phone" in kept[0]
    assert governed(quiet()) == ["on, but no temperature is known: it looks after memory, supply and battery alone"]
    assert governed(good(), enabled=False)[0].startswith("off (governor.enabled)")
    steps = {"cpuinfo_max_freq": "2400000\n", "scaling_available_frequencies": "1500000 2400000\n"}
    folder = "sys/devices/system/cpu/cpufreq/policy0"
    root = write_tree(tmp_path, {f"{folder}/{name}": text for name, text in steps.items()})
    assert "it sets no clock, and pauses instead" in governed(good(), root)[1]


def test_swap_on_an_sd_card(tmp_path):
    """Told of a partition of one; zram, a disk and no swap at all are no trouble."""
    head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    devices = {"mmcblk0/device/type": "SD\n", "mmcblk1/device/type": "MMC\n", "mmcblk0/mmcblk0p2/partition": "2\n"}
    tree = {f"sys/devices/{name}": text for name, text in devices.items()}
    tree |= {"sys/devices/mmcblk1/mmcblk1p1/partition": "1\n", "sys/devices/zram0/size": "1\n"}
    root = write_tree(tmp_path, tree | {"proc/swaps": head})
    (root / "sys/class/block").mkdir(parents=True)
    for place in ("mmcblk0/mmcblk0p2", "mmcblk1/mmcblk1p1", "zram0"):
        (root / "sys/class/block" / Path(place).name).symlink_to(root / "sys/devices" / place)
    assert "no swap" in next(iter(doctor_machine.swap(at(root)))).text
    lines = [f"/dev/{name} partition 1 0 -2\n" for name in ("mmcblk1p1", "zram0", "mmcblk0p2", "gone")]
    (root / "proc/swaps").write_text(head + "".join(lines))
    (only,) = doctor_machine.swap(at(root))
    assert (only.grade, "swapoff /dev/mmcblk0p2" in only.text) == ("look", True)


def bundle_at(folder: Path, **changed: Any) -> Path:
    """A bundle of a manifest alone."""
    folder.mkdir()
    (folder / "manifest.json").write_text(scripted_manifest(**changed).model_dump_json())
    return folder


def test_whether_a_bundle_fits(tmp_path):
    """The arithmetic, to the mebibyte, and what the bundles beside it need; what is no bundle is passed over."""
    mib = 1 << 20
    sizes = {"weights_bytes": 100 * mib, "kv_bytes_per_token": 1024, "context_length": 10240}
    own = bundle_at(tmp_path / "own", **sizes, memory_floor_bytes=300 * mib)
    bundle_at(tmp_path / "large", memory_floor_bytes=900 * mib)
    bundle_at(tmp_path / "small", memory_floor_bytes=400 * mib)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/manifest.json").write_text("{")
    free = "MemTotal: 1000000 kB\nMemAvailable: 512000 kB\n"
    root = write_tree(tmp_path / "root", {"proc/meminfo": free})
    texts = [text for text, grade in found_by(lambda: doctor_machine.bundle(at(root, bundle=own))) if grade == "ok"]
    assert "100 MiB of weights + 10 MiB for 10240 tokens + 190 MiB to work with = 300 MiB; 500 MiB are free" in texts[0]
    assert texts[2:] == [
        "beside it, large needs 900 MiB and would not fit",
        "beside it, small needs 400 MiB and would fit",
    ]
    found = list(found_by(lambda: doctor_machine.bundle(at(root, bundle=tmp_path / "large"))))
    assert found[0].text.endswith("= 900 MiB; 500 MiB are free, which is too little")
    assert (found[1].grade, "stop what else runs here" in found[1].text) == ("BAD", True)


# --- the program ---


@pytest.mark.slow
def test_a_board_from_elsewhere(tmp_path):
    """By options alone, without a variable: its own readings, not this machine's; one that is away, or strange."""
    with embedded_broker(tmp_path) as port, Board(port) as odd:
        here = ["doctor", "--broker", f"127.0.0.1:{port}"]
        odd.info(**INFO)
        odd.user.publish("edge/odd/telemetry", reading(), retain=True)
        status, out, said = ended(started({}, *here, "--device", "odd"))
        assert (status, said) == (0, "")
        assert "ok   machine    Raspberry Pi 5 Model B Rev 1.0; known as raspberry-pi-5\n" in out
        assert "look heat       81.2 °C: more air" in out
        assert "look board      its clock and this machine's are " in out
        assert "swap" not in out
        odd.user.publish(
            "edge/odd/telemetry", {"thermal": 3, "memory": [], "board": {"model": "\n\x1b[2J"}}, retain=True
        )
        strange = ended(started({}, *here, "--device", "odd"))[1]
        assert "BAD  heat       what the board says cannot be read" in strange
        assert "\x1b" not in strange
        odd.user.publish("edge/odd/status", {"state": "offline", "reason": "the bundle is damaged"}, retain=True)
        status, out, _ = ended(started({}, *here, "--device", "odd"))
        assert (status, "BAD  board      it is offline (the bundle is damaged): `systemctl" in out) == (1, True)
        status, out, _ = ended(started({}, *here, "--device", "attic"))
        assert (status, "BAD  broker     no board named attic is known" in out) == (1, True)
        own = ended(started({"EDGE_JOURNAL__FOLDER": str(tmp_path / "j")}, *here))[1]
        assert "ok   broker     it knows odd; `edge doctor --device NAME` looks at one of them" in own
        odd.user.publish("edge/odd/telemetry", b"", retain=True)
