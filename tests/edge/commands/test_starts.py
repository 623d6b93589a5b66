"""Every fault of docs/operator.md's table, made for real: its exit status, and a line that names it and what to do."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.testing import scripted_manifest, write_tree
from tests.conftest import EDGE, ROOT, free_port, mosquitto, running

pytestmark = [pytest.mark.checkout, pytest.mark.slow]
ROW = re.compile(r"^\| (.+?) \| (65|69|75|78|starts) \| (`.+`) \| .+ \|$", re.MULTILINE)
ROWS = {
    fault: (status, says.strip("`")) for fault, status, says in ROW.findall((ROOT / "docs/operator.md").read_text())
}
FIXED = {"slice_tokens": 32, "logits_scale": 0.001, "logits_zero_point": 32768}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount, or to give rights up")


@dataclass
class Start:
    """One start of the daemon: its folder, its settings, what it is started by, what happens meanwhile."""

    folder: Path
    real: Path
    settings: dict[str, str] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)
    meanwhile: Callable[[int], None] = lambda _pid: None
    leaves: ExitStack = field(default_factory=ExitStack)

    @property
    def bundle(self) -> Path:
        """A whole bundle of one small file, which no engine can load."""
        folder = self.folder / "bundle"
        if not folder.exists():
            folder.mkdir()
            (folder / "model.onnx").write_bytes(b"weights")
            self.describe(folder)
        self.settings["EDGE_ENGINE__BUNDLE"] = str(folder)
        return folder

    def describe(self, folder: Path, **changes) -> None:
        """Write the manifest that fits what lies there."""
        content = (folder / "model.onnx").read_bytes()
        entry = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        manifest = scripted_manifest(files={"model.onnx": entry}, **changes)
        (folder / "manifest.json").write_text(manifest.model_dump_json())

    def copy(self, **changes) -> Path:
        """A copy of the real bundle, its manifest changed."""
        folder = self.folder / "copy"
        shutil.copytree(self.real, folder)
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        self.settings |= {"EDGE_ENGINE__BUNDLE": str(folder), "EDGE_ENGINE__VERIFY_HASHES": "false"}
        return folder

    def resized(self, name: str, content: bytes) -> None:
        """A file of the copy with other contents, and a manifest that has their size."""
        folder = self.copy()
        (folder / name).write_bytes(content)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"][name]["size_bytes"] = len(content)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    def mount(self, options: str, folder: Path) -> None:
        """A file system of memory at a folder, for this start alone."""
        folder.mkdir()
        script = f'mount -t tmpfs -o {options} tmpfs "{folder}" && exec "$@"'
        self.before = ["unshare", "-m", "sh", "-c", script, "sh"]

    def journal(self) -> Path:
        """Where the journal will lie."""
        (self.folder / "state").mkdir()
        return self.folder / "state/test.journal"

    def board(self, total: int, available: int) -> None:
        """A board of so much memory, in MiB."""
        text = f"MemTotal: {total * 1024} kB\nMemAvailable: {available * 1024} kB\n"
        self.settings["EDGE_TELEMETRY__ROOT"] = str(write_tree(self.folder / "root", {"proc/meminfo": text}))


def no_tls(it: Start) -> None:
    """A file that holds no certificate."""
    (it.folder / "ca.crt").write_text("no certificate")
    it.settings["EDGE_BROKER__TLS_CA"] = str(it.folder / "ca.crt")


def empty_folder(it: Start) -> None:
    """A place where a disk will be mounted."""
    (it.folder / "disk").mkdir()
    it.settings["EDGE_ENGINE__BUNDLE"] = str(it.folder / "disk")


def no_wheel(it: Start) -> None:
    """A bundle that is read with `tokenizers`, and one before it on the path that is none."""
    (it.folder / "path").mkdir()
    (it.folder / "path/tokenizers.py").write_text("raise ImportError")
    it.copy(tokenizer="tokenizers")
    it.settings["PYTHONPATH"] = os.pathsep.join(filter(None, (str(it.folder / "path"), os.environ.get("PYTHONPATH"))))


def unmet_file(it: Start) -> None:
    """/proc/PID/mem is a regular file of no bytes whose reading fails with EIO."""
    (it.bundle / "model.onnx").write_bytes(b"")
    it.describe(it.bundle)
    (it.bundle / "model.onnx").unlink()
    (it.bundle / "model.onnx").symlink_to("/proc/self/mem")


def fifo(path: Path) -> None:
    """Nobody will ever write into it."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def forbidden(it: Start) -> None:
    """A file without any right, and a daemon without root's right to read it all the same."""
    (it.bundle / "model.onnx").chmod(0o000)
    for capability in ("dac_override", "dac_read_search"):
        it.before += ["setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}"]


def locked(it: Start) -> None:
    """A journal that another process has to itself."""
    database = sqlite3.connect(it.journal())
    it.leaves.callback(database.close)
    database.execute("pragma locking_mode = exclusive")
    database.execute("create table held (number)")
    database.execute("begin exclusive")


def newer(it: Start) -> None:
    """A journal of a version to come."""
    with sqlite3.connect(it.journal()) as database:
        database.execute("pragma user_version = 9")


def engine_killed(it: Start) -> None:
    """Killed as the kernel does when memory is short, as soon as it is there."""

    def kill(pid: int) -> None:
        os.kill(child_of(pid), signal.SIGKILL)

    it.settings["EDGE_ENGINE__BUNDLE"] = str(it.real)
    it.meanwhile = kill


def child_of(pid: int, seconds: float = 30) -> int:
    """The engine's process, once it is there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            break
        if found and b"edge.engine" in Path(f"/proc/{found[0]}/cmdline").read_bytes():
            return int(found[0])
    raise AssertionError("there is no engine")


def refusing(it: Start) -> None:
    """A broker that takes nobody."""
    it.settings["EDGE_BROKER__PORT"] = str(
        it.leaves.enter_context(mosquitto(it.folder, config="allow_anonymous false\npassword_file /dev/null\n"))
    )


def bare_board(it: Start) -> None:
    """A root folder without /proc and /sys."""
    it.settings |= {"EDGE_TELEMETRY__ROOT": str(it.folder), "EDGE_ENGINE__BUNDLE": str(it.real)}


def setting(**values: str) -> Callable[[Start], None]:
    """A start with the real bundle and some settings."""
    return lambda it: it.settings.update({"EDGE_ENGINE__BUNDLE": str(it.real), **values})


def both(*steps: Callable[[Start], object]) -> Callable[[Start], None]:
    """One after the other."""

    def run(it: Start) -> None:
        for step in steps:
            step(it)

    return run


FAULTS: dict[str, Callable[[Start], object]] = {
    "a variable that is no setting": setting(EDGE_BROKR__PORT="1"),
    "a value that cannot be": setting(EDGE_BROKER__PORT="none"),
    "the file of settings is not there": setting(EDGE_CONFIG="/nowhere/edge.toml"),
    "the file of settings is no TOML": lambda it: (
        (it.folder / "edge.toml").write_text("device = ")
        and it.settings.update(EDGE_CONFIG=str(it.folder / "edge.toml"))
    ),
    "the file of settings meets a read error": setting(EDGE_CONFIG="/proc/self/mem"),
    "certificates that cannot be used": both(setting(), no_tls),
    "the bundle's folder is empty, or would lie in an empty one": empty_folder,
    "the bundle's folder is not there": setting(EDGE_ENGINE__BUNDLE="/nowhere/bundle"),
    "the bundle has no manifest": lambda it: (it.bundle / "manifest.json").unlink(),
    "the manifest is damaged": lambda it: (it.bundle / "manifest.json").write_text("{"),
    "the bundle is for another version": lambda it: (it.bundle / "manifest.json").write_text('{"schema_version": 9}'),
    "the bundle lacks a file": lambda it: (it.bundle / "model.onnx").unlink(),
    "a file of the bundle is cut off": lambda it: (it.bundle / "model.onnx").write_bytes(b"wei"),
    "a file of the bundle is altered": lambda it: (it.bundle / "model.onnx").write_bytes(b"Weights"),
    "a file of the bundle is a FIFO": lambda it: fifo(it.bundle / "model.onnx"),
    "the bundle has a file too many": lambda it: (it.bundle / "extra").write_text(""),
    "a file of the bundle may not be read": forbidden,
    "a file of the bundle meets a read error": unmet_file,
    "the bundle is for another provider": setting(EDGE_ENGINE__PROVIDER="cuda"),
    "the memory is taken by others": both(setting(), lambda it: it.board(4000, 100)),
    "the board is too small": both(setting(), lambda it: it.board(200, 100)),
    "the weights do not load": lambda it: it.resized("model.onnx.data", b"cut off"),
    "the wheel that reads its tokens is missing": no_wheel,
    "the tokenizer does not load": lambda it: it.resized("tokenizer.json", b"{"),
    "a provider that no engine answers on": lambda it: (
        it.copy(provider="openvino") and it.settings.update(EDGE_ENGINE__PROVIDER="openvino")
    ),
    "a bundle of fixed shapes and an engine of others": lambda it: (
        it.copy(fixed=FIXED, engine="static") and it.settings.update(EDGE_ENGINE__KIND="genai")
    ),
    "QNN and a bundle for the processor": lambda it: (
        it.copy(provider="qnn") and it.settings.update(EDGE_ENGINE__PROVIDER="qnn")
    ),
    "a provider's plugin that is not installed": lambda it: (
        it.copy(provider="webgpu") and it.settings.update(EDGE_ENGINE__PROVIDER="webgpu")
    ),
    "an engine that does not run on the provider": lambda it: (
        it.copy(provider="cuda") and it.settings.update(EDGE_ENGINE__PROVIDER="cuda", EDGE_ENGINE__KIND="batched")
    ),
    "memory runs out while loading": both(setting(), lambda it: it.before.extend(["prlimit", f"--as={600 << 20}"])),
    "the engine is killed while loading": engine_killed,
    "loading takes too long": setting(EDGE_ENGINE__LOAD_SECONDS="0.05"),
    "no descriptors are left": both(setting(), lambda it: it.before.extend(["prlimit", "--nofile=14"])),
    "the journal's folder cannot be": both(setting(), lambda it: (it.folder / "state").write_text("")),
    "the journal is a FIFO": both(setting(), lambda it: fifo(it.journal())),
    "the journal is a newer daemon's": both(setting(), newer),
    "another process has the journal": both(setting(), locked),
    "the journal's disk is full": both(setting(), lambda it: it.mount("size=8k", it.folder / "state")),
    "the journal's disk is read-only": both(setting(), lambda it: it.mount("ro", it.folder / "state")),
    "the broker refuses us": both(setting(), refusing),
    "no broker answers": setting(),
    "the cache cannot be written": both(setting(), lambda it: (it.folder / "cache").write_text("")),
    "no clock, no sensors": bare_board,
}
MARKS = {
    "a file of the bundle may not be read": as_root,
    "the journal's disk is full": as_root,
    "the journal's disk is read-only": as_root,
    "the broker refuses us": pytest.mark.mosquitto,
}


def test_the_table_is_complete():
    """Each row of the page is provoked below, and nothing that is provoked is missing there."""
    assert set(ROWS) == set(FAULTS)


@pytest.mark.parametrize("fault", [pytest.param(fault, marks=MARKS.get(fault, ())) for fault in FAULTS])
def test_a_fault_ends_with_its_status_and_a_line_that_names_it(bundle, tmp_path, fault):
    """The daemon as a process, and the fault for real; what the page says of it is what the last line says."""
    status, says = ROWS[fault]
    with ExitStack() as leaves:
        it = Start(tmp_path, bundle, leaves=leaves)
        FAULTS[fault](it)
        log = started(it, leaves, status)
    lines = log.read_text().splitlines()
    line = re.compile(".*".join(map(re.escape, says.split("…"))))
    if status == "starts":
        assert any(line.search(each) for each in lines), lines
    else:
        assert lines[-1].startswith("edge serve: ")
        assert line.search(lines[-1]), lines[-1]


def started(it: Start, leaves: ExitStack, status: str) -> Path:
    """Start the daemon and see how it ends; where it starts, end it. Its log."""
    environment = {
        "EDGE_DEVICE": "test",
        "EDGE_BROKER__PORT": str(free_port()),
        "EDGE_JOURNAL__FOLDER": str(it.folder / "state"),
        "EDGE_ENGINE__CACHE_FOLDER": str(it.folder / "cache"),
        "EDGE_ENGINE__PACKS": "false",
        **it.settings,
    }
    log = it.folder / "serve.log"
    process = leaves.enter_context(running([*it.before, *EDGE, "serve"], log, environment))
    it.meanwhile(process.pid)
    if status == "starts":
        until = time.monotonic() + 60
        while "INFO online" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        status = "0"
    assert process.wait(60) == int(status), log.read_text()
    return log
