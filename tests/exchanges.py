"""Bundles exchanged under a board that is asked all the time, and killed at seeded moments: what it answers after each.

Real processes: Mosquitto, the daemon, an asker that does as the contract says (tests/storm.py). The bundles are
scripted ones, whose answers tell them apart, or a real one under other versions.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge.bundle import MANIFEST, Golden, Manifest, open_bundle
from edge.store.store import Store
from edge.testing.bundles import Script, arrive
from tests.clients import User
from tests.conftest import free_port, mosquitto_command
from tests.storm import PERSISTENT, Answered, Asker, Process, daemon_settings

SECONDS = 120.0
"""For one exchange to end, kills and all."""
LOADING_SECONDS, PROBATION_SECONDS = 0.5, 1.0
SPAN_SECONDS = 5.0
"""From a bundle's arrival in the store to its being kept, about, where nothing is killed."""
PARIS = [Golden(prompt="What is the capital of France?", contains="Paris")]
OWN = "word word "
"""What `python -m edge.testing` answers by itself."""


@dataclass
class Course(Answered):
    """What came of it. whole: probes after a kill that one bundle, the old or the new one, answered wholly.

    ends: how each exchange ended, `kept` or `rolled_back`. begun: how often the engines began each request.
    """

    kills: int = 0
    whole: int = 0
    ends: list[str] = field(default_factory=list)
    requests: int = 0
    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    begun: Counter[str] = field(default_factory=Counter)


def again(bundle: Path, store: Store, version: str, golden: list[Golden]) -> str:
    """A real bundle once more, in a store, as another version with questions of its own; its digest."""
    place = store.folder / "bundles" / f"new-{version}"
    place.mkdir(parents=True)
    manifest: Manifest = open_bundle(bundle, verify_hashes=False).manifest
    for name in manifest.files:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        os.link((bundle / name).resolve(), place / name)
    changed = manifest.model_copy(update={"version": version, "golden": golden})
    (place / MANIFEST).write_text(changed.model_dump_json(indent=2), encoding="utf-8")
    digest = open_bundle(place, verify_hashes=False).digest
    place.rename(store.bundle(digest))
    return digest


class Board:
    """One board, its broker, and an asker that never rests; `watcher` hears what is reported."""

    def __init__(self, folder: Path, bundle: Path | None = None, **settings: str) -> None:
        self.folder, self.bundle, self.course = folder, bundle, Course()
        self.store, self._port = Store(folder / "store"), free_port()
        (self.store.folder / "bundles").mkdir(parents=True)
        self._settings = daemon_settings(folder, self._port) | {
            "EDGE_STORE__FOLDER": str(self.store.folder),
            "EDGE_STORE__PROBATION_SECONDS": str(PROBATION_SECONDS),
            "EDGE_STORE__SPEED_FLOOR": "0.2",  # another test may run meanwhile
            **settings,
        }
        self.jobs = folder / "jobs.txt"
        self._asker = Asker(self._port, "c0", 1_000_000, pause_seconds=0.05 if bundle is None else 0.3)
        self._is_over = threading.Event()
        self._serial = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[Board]:
        """All of it, and at the end every request that was asked has had time to be answered."""
        broker = Process(
            mosquitto_command(self.folder, self._port, PERSISTENT.format(folder=self.folder)),
            self.folder / "broker.log",
            port=self._port,
        )
        self.jobs.touch()
        program = ["edge.testing", f"--log={self.jobs}", "--pause-seconds=0.01"]
        if self.bundle:
            program, self._settings["EDGE_ENGINE__BUNDLE"] = ["edge", "serve"], str(self.bundle)
        self.daemon = Process([sys.executable, "-m", *program], self.folder / "daemon.log", self._settings)
        try:
            with User(self._port, "edge/test/reported", "edge/test/reply/probe") as self.watcher:
                self.watcher.wait_online()
                self._asker.start()
                asking = threading.Thread(target=self._ask, daemon=True)
                asking.start()
                yield self
                self._settle(asking)
        finally:
            self._is_over.set()
            self.daemon.stop()
            broker.stop()

    def _ask(self) -> None:
        while not self._is_over.is_set():
            self._asker.step()
            time.sleep(0.005)

    def _settle(self, asking: threading.Thread) -> None:
        """No more is asked; what was is answered."""
        self._asker.count = self._asker._next
        until = time.monotonic() + SECONDS
        while len(self._asker.answers) < self._asker._next and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1)  # what is on its way twice shall be seen
        self._is_over.set()
        asking.join()
        self._asker.stop()
        self.course.requests, self.course.answers = self._asker._next, self._asker.answers
        self.course.begun = Counter(self.jobs.read_text().splitlines())

    def arrive(self, version: int, is_good: bool = True) -> str:
        """A new bundle is in the store, to be tried, as an installer leaves it; its digest."""
        return arrive(self.store, lambda: self._put(version, is_good))

    def _put(self, version: int, is_good: bool) -> str:
        if self.bundle is None:
            return script(version, is_good).put(self.store)
        golden = PARIS if is_good else [replace_contains("Lisbon")]
        return again(self.bundle, self.store, str(version), golden)

    def ended(self, digest: str) -> str:
        """How its exchange ends: `kept` or `rolled_back`."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            record = self.store.read()
            if record.kept == digest:
                return self._note("kept")
            if record.why_not(digest):
                return self._note("rolled_back")
            time.sleep(0.05)
        raise TimeoutError((self.folder / "daemon.log").read_text()[-2000:])

    def _note(self, end: str) -> str:
        self.course.ends.append(end)
        return end

    def kill(self) -> None:
        """-9, and started again at once."""
        self.daemon.kill()
        self.course.kills += 1

    def probe(self, versions: tuple[int, int]) -> None:
        """One request, which one of these two versions is to answer as it does when whole."""
        self._serial += 1
        name = f"probe-{self._serial}"
        said = "What is the capital of France?" if self.bundle else name
        body = {"prompt": said, "id": name, "stream": False, "max_tokens": 16}
        self.watcher.publish("edge/test/request/probe", body)
        _, reply = self.watcher.answer(SECONDS, name)
        texts = {text_of(version) for version in versions}
        is_whole = "Paris" in reply["text"] if self.bundle else reply["text"] in texts
        self.course.whole += reply["code"] == 200 and is_whole


def replace_contains(contains: str) -> Golden:
    """The same question with another answer."""
    return PARIS[0].model_copy(update={"contains": contains})


def text_of(version: int) -> str:
    """What a scripted bundle answers; version 0 is the board's own."""
    return OWN if version == 0 else f"this is bundle {version}, whole"


def script(version: int, is_good: bool = True) -> Script:
    """A scripted bundle that tells which it is."""
    golden = [{"prompt": "Which?", "contains": f"bundle {version}" if is_good else "another"}]
    pieces = tuple(f"{word} " for word in text_of(version).split())
    pieces = (*pieces[:-1], pieces[-1].strip())
    made = Script(pieces=pieces, pause_seconds=0.01, start_seconds=LOADING_SECONDS)
    return replace(made, manifest={"name": "scripted", "version": str(version), "golden": golden})


def killed(folder: Path, kills: int, bundle: Path | None = None, span_seconds: float = SPAN_SECONDS) -> Course:
    """An exchange for each kill, at a seeded moment of it; each time the board is asked what it is."""
    chance = random.Random(24)
    board, kept = Board(folder, bundle), 0
    with board.running():
        board.probe((0, 0))
        board.course.whole = 0
        for version in range(1, kills + 1):
            digest = board.arrive(version)
            time.sleep(chance.uniform(0, span_seconds))
            board.kill()
            board.probe((kept, version))
            kept = version if board.ended(digest) == "kept" else kept
    return board.course


def exchanged(folder: Path, count: int, bundle: Path | None = None) -> Course:
    """So many exchanges, a third of them with a bundle that is rolled back; nothing is killed."""
    board = Board(folder, bundle)
    with board.running():
        board.probe((0, 0))
        for version in range(1, count + 1):
            board.ended(board.arrive(version, is_good=version % 3 != 0))
    return board.course
