"""What the pages say is true: links lead somewhere, paths and commands exist, examples are understood and play."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

import edge
from edge.__main__ import COMMANDS, _parser
from edge.board.sensors import Sensors, read_all
from edge.commands.serve import board_sources
from edge.config import Settings, Tool, describe
from edge.config.tools import TOOL_KINDS, TelemetryValue
from edge.documents import Piece
from edge.engine import Job
from edge.engine.text.documents import source_of
from edge.errors import FAULTS, Fault
from edge.governor import Decision
from edge.service.announcements import Announcements
from edge.service.happenings import Happenings
from edge.service.inference import Inference
from edge.service.report import Report
from edge.service.seat import Seat
from edge.service.served import Served
from edge.service.speed import Speed
from edge.service.waiting import Waiting
from edge.testing import MemoryTransport, ScriptedEngine, scripted_manifest, write_tree
from edge.testing.vectors import SCRIPTED, scripted_vectors
from edge.wire.board_tools import BoardCall
from edge.wire.chat import ChatRequest, validated
from edge.wire.desired import Desired
from edge.wire.event import Event
from edge.wire.load import Load
from edge.wire.message import WIRE_VERSION, Message, dumps
from edge.wire.reply import Outcome, Usage, delta, queued, refusal, terminal
from edge.wire.reported import Report as Reported
from edge.wire.request import Address, Request, parse_request
from edge.wire.tools import called
from edge.wire.topics import Topics
from export.command import parser as export_parser
from tests import boards
from tests.clients import User
from tests.conftest import ROOT, embedded_broker, running, wait_until

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ASK, WIRE, OPERATOR, TOOLS = (ROOT / f"docs/{name}.md" for name in ("ask", "wire", "operator", "tools"))
PACKAGE = Path(edge.__file__).resolve().parent
FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
INLINE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"(?:^|&& |\| )(?:\$ )?(?:sudo )?(?:[A-Z_]+=\S+ )*(?:\S*/)?(edge|edge-export|make)((?: .*)?)$")
PROGRAM_ENDS = {"&&", "|", ">", "&", ";"}
FOLDERS = ("edge", "export", "tests", "docs", "deploy", "systemd", "benchmarks", "requirements", ".ci")
SUFFIXES = ("", ".conf", ".example", ".json", ".lock", ".md", ".png", ".py", ".service", ".sh", ".svg", ".toml")
ADDRESS = Address("edge/pi/reply/me", "q1", "me")
COUNTED = ("cached_tokens", "prompt_tokens", "run_rows", "runs", "right_tokens", "guessed_tokens")
ZONE, FAN = "sys/class/thermal/thermal_zone0", "sys/class/hwmon/hwmon2"
WAITING = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
PI = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/meminfo": "MemTotal: 8245104 kB\nMemAvailable: 7000000 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n",
    **{f"proc/pressure/{resource}": WAITING for resource in ("memory", "cpu", "io")},
    "proc/100/smaps_rollup": "Pss: 38000 kB\nAnonymous: 29000 kB\n",
    "proc/200/smaps_rollup": "Pss: 286623 kB\nAnonymous: 214476 kB\n",
    "proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 100 0 100 800 0 0 0 0 0 0\n",
    "proc/loadavg": "0.50 0.40 0.30 1/100 1234\n",
    f"{ZONE}/type": "cpu-thermal\n",
    f"{ZONE}/temp": "48250\n",
    f"{ZONE}/trip_point_0_type": "critical\n",
    f"{ZONE}/trip_point_0_temp": "110000\n",
    f"{FAN}/name": "pwmfan\n",
    f"{FAN}/fan1_input": "1518\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
    "sys/class/hwmon/hwmon0/temp1_input": "48250\n",
}
EYES = {"crop_size": 336, "side_tokens": 12, "crops_max": 16, "mean": (0, 0, 0), "std": (1, 1, 1)}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
needs_clients = pytest.mark.skipif(
    shutil.which("mosquitto_rr") is None and "CI" not in os.environ,
    reason="Mosquitto's clients are not installed: sudo apt install mosquitto-clients",
)


# --- what a page is made of ---


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """The fenced blocks of a language: what stands behind it on the fence, and the text."""
    found = [(*info.partition(" "), text) for info, text in FENCE.findall(page.read_text())]
    return [(mark, text) for name, _, mark, text in found if name == language]


def anchors(page: Path) -> set[str]:
    """The names that a page's headings can be linked by, as GitHub makes them."""
    names: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading).lower()).replace(" ", "-")
        names.append(f"{name}-{names.count(name)}" if name in names else name)
    return set(names)


def command_lines(page: Path) -> Iterator[str]:
    """The lines of a page that are typed: fenced, or indented by four spaces."""
    for _, text in FENCE.findall(page.read_text()):
        yield from text.replace("\\\n", " ").splitlines()
    yield from re.findall(r"^ {4}(.*)$", prose(page), re.MULTILINE)


# --- links, paths, settings, commands ---


@each_page
def test_links_lead_somewhere(page: Path):
    """Every relative link is a file or folder of the repository, and what is behind its # is a heading there."""
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert re.match(r"\w+:", link) or target.exists(), link
        assert re.match(r"\w+:", link) or not anchor or anchor in anchors(target), link


@each_page
def test_paths_exist(page: Path):
    """Every file and folder of ours that a page names; of edge/, where topics begin too, what is clearly a path."""
    for name in INLINE.findall(prose(page)):
        if is_path(name):
            assert any(holds_something(path) for root in (ROOT, PACKAGE.parent) for path in root.glob(name)), name


def is_path(name: str) -> bool:
    """Whether a name begins with a folder of ours and ends as files or folders of ours do."""
    first, _, rest = name.partition("/")
    is_ours = first in FOLDERS and rest and re.fullmatch(r"[\w./*-]+", name) and Path(name).suffix in SUFFIXES
    return bool(is_ours) and (first != "edge" or name.endswith((".py", "/")))


def holds_something(path: Path) -> bool:
    """A file, or a folder with more in it than a former file's bytecode."""
    return path.is_file() or any(each.is_file() and each.suffix != ".pyc" for each in path.rglob("*"))


@each_page
def test_settings_exist(page: Path):
    """Every `section.key` that a page names is a setting."""
    known = {".".join(path) for path, _ in describe()}
    for name in re.findall(
        r"`((?:broker|engine|limits|journal|telemetry|home_assistant|prometheus)\.[a-z_]+)`", prose(page)
    ):
        assert name in known, name


@each_page
def test_commands_are_taken(page: Path):
    """Every `edge`, `edge-export` and `make` line is taken by the program's own parser, by the Makefile's targets."""
    for line in command_lines(page):
        if found := COMMAND.search(line):
            words = list(typed(found[2]))
            assert not TAKERS[found[1]](words), line


@each_page
def test_commands_in_passing_exist(page: Path):
    """Those within a sentence may leave out what they need; what they say exists."""
    for text in INLINE.findall(prose(page)):
        if found := COMMAND.match(text):
            words = list(typed(found[2]))
            assert not (make_complaint(words) if found[1] == "make" else unknown_words(found[1], words)), text


@each_page
def test_the_default_bundle_has_its_name(page: Path):
    """A page that names it names the one that the Makefile makes."""
    (name,) = re.findall(r"^BUNDLE := .*/bundles/(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"/bundles/(smollm2[\w-]+)", page.read_text())) <= {name}


def typed(text: str) -> Iterator[str]:
    """A command's words, up to where the shell goes on to something else."""
    for word in shlex.split(text, comments=True):
        if word in PROGRAM_ENDS:
            return
        yield word


def complaint(parse: Callable[[list[str]], object], words: list[str]) -> str:
    """What a parser says against some words; nothing where it takes them."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parse(words)
    except SystemExit as end:
        return said.getvalue() if end.code else ""
    return ""


def make_complaint(words: list[str]) -> str:
    """The targets and variables that the Makefile does not have."""
    makefile = (ROOT / "Makefile").read_text()
    names = [(f"^{word}:" if "=" not in word else rf"\b{word.partition('=')[0]}\b") for word in words]
    return " ".join(name for name in names if not re.search(name, makefile, re.MULTILINE))


TAKERS: dict[str, Callable[[list[str]], str]] = {
    "edge": lambda words: complaint(_parser(words).parse_args, words),
    "edge-export": lambda words: complaint(export_parser().parse_args, words),
    "make": make_complaint,
}


def unknown_words(program: str, words: list[str]) -> str:
    """Of a command in passing, a subcommand and options that its --help does not have."""
    command = [word for word in words[:1] if program == "edge" and not word.startswith("-")]
    if command and command[0] not in COMMANDS:
        return command[0]
    known = help_of(program, command)
    return " ".join(word for word in words if word.startswith("--") and word.partition("=")[0] not in known)


def help_of(program: str, words: list[str]) -> str:
    """What --help prints."""
    parser, said = (_parser(words) if program == "edge" else export_parser()), io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        parser.parse_args([*words, "--help"])
    return said.getvalue()


# --- the wire ---


def test_the_wire_page_has_every_field_and_every_code():
    """Each field of a request has its row; each code, too, and one in ask.md with what to do about it."""
    text = WIRE.read_text()
    assert text.startswith(f"# The wire, version {WIRE_VERSION}\n")
    for name in ChatRequest.model_fields:
        assert f"`{name}`" in text, name
    for code in (200, *FAULTS):
        assert f"\n| {code} | " in text, code
        assert f"\n| {code} | " in ASK.read_text(), code


@pytest.mark.parametrize("page", [ASK, WIRE], ids=lambda page: page.name)
def test_requests_are_understood(page: Path):
    """Each JSON request that a page shows, in a block of its own or behind a client's -m, without a warning."""
    shown = [text for mark, text in blocks(page, "json") if mark == "request"]
    sent = re.compile(r"/request/me[^']*'(\{.*?\})'", re.DOTALL)
    shown += [each for _, text in blocks(page, "sh") for each in sent.findall(text)]
    assert shown
    for text in shown:
        asked = parse_request(Message("edge/pi/request", text.encode()), Topics("pi"), 65536, 1 << 20)
        assert asked.warnings == (), text


@pytest.mark.parametrize("page", [ASK, WIRE], ids=lambda page: page.name)
def test_what_a_board_says_has_the_keys_of_the_real_thing(page: Path, tmp_path: Path):
    """Each JSON message of a board that a page shows, of each kind, to the last key."""
    for kind, text in blocks(page, "json"):
        if kind != "request":
            example = json.loads(text)
            assert shape(example) == shape(real(kind, {**example}, tmp_path)), text


def shape(value: Any) -> Any:
    """The keys of a JSON value, and how they nest."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value[:1]] if isinstance(value, list) else None


def real(kind: str, example: dict[str, Any], folder: Path) -> Any:
    """What the code says in the place of an example."""
    if kind == "telemetry":
        return read_board(folder)
    made = {
        "queued": lambda: queued(ADDRESS, 2, 1.0),
        "delta": lambda: delta(ADDRESS, 0, "", example.get("choice")),
        "reply": lambda: terminal(ADDRESS, ended_like(example)),
        "status": lambda: announced(folder)[0],
        "info": lambda: announced(folder)[1],
        "load": lambda: Message("", dumps(Load.model_validate(example).model_dump())),
        "reported": lambda: Message("", Reported.model_validate(example).model_dump_json(exclude_unset=True).encode()),
        "desired": lambda: Message("", Desired.model_validate(example).model_dump_json(exclude_unset=True).encode()),
        "event": lambda: Message("", dumps(Event.model_validate(example).model_dump(exclude_none=True))),
    }
    return json.loads(made[kind]().payload)


def ended_like(example: dict[str, Any]) -> Outcome:
    """How a request ended that is told so; the finish reason of a fault is the code's."""
    fault, usage = FAULTS.get(example["code"]), Usage(picture_tokens=tuple(example["usage"].get("picture_tokens", ())))
    outcome = refusal(fault("")) if fault else Outcome(200, example["finish_reason"])
    assert outcome.finish_reason == example["finish_reason"]
    calls = called(example["text"], "call-1") if "tool_calls" in example else []
    sources = [source_of(Piece(0, "", "", "", None, ""))] if "sources" in example else None
    made = [BoardCall(each["name"], each["arguments"], "", "done").body() for each in example.get("board_calls", ())]
    asked = "embeddings" in example
    vectors = scripted_vectors(Job(1, [], 0, texts=["a", "b"])).embeddings if asked else None
    told = replace(outcome, usage=usage, tool_calls=calls or [], sources=sources, embeddings=vectors)
    chat = validated({"prompt": "x", "n": max(1, len(example.get("choices", ())))})
    several = Waiting(1, Request(ADDRESS, chat), 0.0).failure(Fault("")).choices
    return replace(told, board_calls=made or None, choices=several)


def announced(folder: Path) -> list[Message]:
    """Status and info of a board that sees pictures, has documents and a tool, and makes vectors."""
    (folder / "museum.index").touch()
    lamp = {"kind": "publish", "description": "d", "clients": ["*"], "topic": "home/lamp", "payload": ["ON"]}
    settings = Settings(device="pi", documents={"folder": folder}, tools={"lamp": lamp})
    transport, engine = MemoryTransport(), ScriptedEngine()
    engine.rows = 8
    seat = Seat(Served(scripted_manifest(pictures=EYES, sentences=SCRIPTED), engine))
    Announcements(settings, seat, transport, Topics("pi"), Sensors([])).at_connect("online")
    return transport.birth


class Counting(ScriptedEngine):
    """An engine that has something to tell of itself."""

    def counters(self):
        """One of everything."""
        return dict.fromkeys(COUNTED, 1)


def read_board(folder: Path) -> dict[str, Any]:
    """A reading of a Raspberry Pi that has answered once."""
    inference = Inference(
        lambda: 0, lambda: 0, lambda: {"answers_expired": 0, "answers_given_up": 0}, Counting(), Speed()
    )
    inference.count(Outcome(200, "stop"))
    taken = read_all(board_sources(Settings(), lambda: boards.PROCESSES), write_tree(folder, PI))
    return {
        "time": 0.0,
        "late_seconds": 0.0,
        "inference": inference.reading(),
        "governor": Decision().body(),
        "bundle": Report(
            Seat(Served(scripted_manifest(), ScriptedEngine())),
            Happenings("", lambda _message: None),
            lambda _body: None,
        ).reading(),
        **taken.body(),
    }


# --- for operators ---


def test_every_reading_is_explained(tmp_path: Path):
    """Each key of a reading, of every board, is in operator.md's table by its full name."""
    text = OPERATOR.read_text()
    for reading in (read_board(tmp_path), *(boards.expected(name) for name in boards.NAMES)):
        for name, value in reading.items():
            is_by_source = name in ("absent", "denied", "failed", "errors")
            keys = [name] if is_by_source or not isinstance(value, dict) else [f"{name}.{key}" for key in value]
            for key in keys:
                assert key.endswith(".age_seconds") or f"`{key}`" in text, key


def test_the_tools_of_the_page_can_be_set():
    """Each table of tools.md is taken, and it names every key and every reading that one can have."""
    text = TOOLS.read_text()
    tables = [tomllib.loads(each) for _, each in blocks(TOOLS, "toml")]
    made = Settings(device="pi", tools={name: tool for each in tables for name, tool in each["tools"].items()})
    assert {tool.kind for tool in made.tools.values()} == set(TOOL_KINDS)
    for name in (*Tool.model_fields, *get_args(TelemetryValue)):
        assert f"`{name}`" in text, name


def test_log_lines_are_what_is_logged():
    """Each line of operator.md's table is in the code, as far as it is not made up of what differs."""
    code = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    table = OPERATOR.read_text().partition("## Log lines")[2].partition("## ")[0]
    lines = re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)
    assert lines
    for line in lines:
        fixed = max(re.split(r"…|\b[A-Z]+\b|[(){}]", line), key=len).strip(" :;")
        assert fixed in code, line


def test_the_example_settings_are_all_the_settings():
    """systemd/edge.toml.example names every key that there is."""
    text = (ROOT / "systemd/edge.toml.example").read_text()
    for path, _meaning in describe():
        assert re.search(rf"^(# )?{path[-1]} =", text, re.MULTILINE), path


# --- played ---


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A scripted board named `demo` at the embedded broker, as `make demo` leaves one; the broker's port."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "edge.testing", "--pieces=4", "--pause-seconds=0.3"]
    with embedded_broker(folder) as port:
        settings = {"EDGE_DEVICE": "demo", "EDGE_BROKER__PORT": str(port), "EDGE_JOURNAL__FOLDER": str(folder)}
        with running(command, folder / "daemon.log", settings), User(port) as user:
            user.wait_online("demo")
            yield port


@needs_clients
def test_the_shell_examples_play(demo: int, tmp_path: Path):
    """To the byte: the first listens, each other's request ends with the code that its fence names, 200 if none."""
    (_, listening), *examples = blocks(ASK, "sh")
    environment, heard, said = at_port(demo, tmp_path), tmp_path / "heard", b""
    with running(["sh", "-c", f"exec {listening}"], heard, environment):
        wait_until(lambda: b"online" in heard.read_bytes())
        for number, (code, example) in enumerate(examples):
            command = ["sh", "-ec", example]
            said += subprocess.check_output(command, env={**os.environ, **environment}, cwd=ROOT, timeout=60)
            wait_until(lambda: len(ends(heard.read_bytes() + said)) > number)  # noqa: B023 - called at once
            assert (code or "200") in ends(heard.read_bytes() + said), example
        assert sorted(ends(heard.read_bytes() + said)) == sorted(code or "200" for code, _ in examples)


def at_port(port: int, folder: Path) -> dict[str, str]:
    """An environment in which Mosquitto's clients take another port than 1883 (mosquitto_pub(1), FILES)."""
    for name in ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr"):
        (folder / name).write_text(f"-p {port}\n")
    return {"XDG_CONFIG_HOME": str(folder)}


def ends(text: bytes) -> list[str]:
    """The codes of the terminal messages in what clients printed."""
    return [code.decode() for code in re.findall(rb'"type":"reply","id":"[^"]*","code":(\d+)', text)]


def test_the_python_example_runs(demo: int):
    """Against another port than the page's: the pieces, then the code and the reason."""
    ((_, program),) = blocks(ASK, "python")
    command = [sys.executable, "-c", program.replace("1883", str(demo))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["word word word word ", "200 stop"], done.stderr
