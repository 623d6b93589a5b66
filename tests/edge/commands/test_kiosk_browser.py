"""`edge browser` with a Chromium that has faults; the real one is in tests/systemd/test_kiosk.py."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import free_port

FAULTY = Path(__file__).with_name("faulty_chromium.py")
QUICK = ["--ask-seconds=0.1", "--silence-seconds=20"]


class Watched:
    """The command, running. folder: what its browser was told is there."""

    def __init__(self, folder: Path, faults: str, url: str, *words: str) -> None:
        self.folder = folder
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "run").mkdir()
        (folder / "faults").write_text(faults)
        program = folder / "bin/chromium"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAULTY} "$@"\n')
        program.chmod(0o755)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.setblocking(False)
        self.heard: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge", "browser", *QUICK, *words, "--waiting=A & <b>", url],
            env=surroundings(folder) | {"NOTIFY_SOCKET": str(folder / "notify"), "FAULTS": str(folder / "faults")},
            stderr=subprocess.PIPE,
            text=True,
        )

    def told(self, word: str) -> int:
        """How often its browsers were."""
        said = self.folder / "said"
        return sum(line.startswith(word) for line in said.read_text().splitlines()) if said.exists() else 0

    def hears(self, word: str) -> bool:
        """Whether systemd has been told something."""
        while True:
            try:
                self.heard += self.manager.recv(4096).decode().split("\n")
            except BlockingIOError:
                return any(word in line for line in self.heard)

    def end(self) -> tuple[int, str]:
        """By SIGTERM, if it has not ended; its status, and what it said."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=20)
        self.manager.close()
        return self.process.returncode, said


def surroundings(folder: Path) -> dict[str, str]:
    """Where the only Chromium is the one in the folder."""
    found = {name: value for name, value in os.environ.items() if name not in ("WAYLAND_DISPLAY", "TMPDIR")}
    return (
        found
        | {"PATH": f"{folder}/bin:/bin:/usr/bin" if (folder / "bin").exists() else str(folder)}
        | {"RUNTIME_DIRECTORY": str(folder / "run")}
    )


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A page that is there."""
    with served(tmp_path, free_port()) as address:
        yield address


@contextmanager
def served(folder: Path, port: int) -> Iterator[str]:
    """Of an empty page."""
    (folder / "index.html").write_text("")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{port}/"
        server.shutdown()


@contextmanager
def watched(folder: Path, faults: str, url: str, *words: str) -> Iterator[Watched]:
    """One that is gone afterwards."""
    it = Watched(folder, faults, url, *words)
    try:
        yield it
    finally:
        if it.process.poll() is None:
            it.process.kill()
            it.process.wait()
        it.manager.close()


def until(so: Callable[[], bool], seconds: float = 20) -> None:
    """Return once it is so."""
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_page_that_is_there_is_shown(tmp_path, url):
    """READY comes once it is loaded, a sign of life as often as it answers; a signal ends browser and profile."""
    with watched(tmp_path, "well", url) as it:
        until(lambda: it.hears(f"STATUS=showing {url}"))
        assert it.hears("READY=1")
        it.heard.clear()
        until(lambda: it.hears("WATCHDOG=1"))
        assert len(list((tmp_path / "run").iterdir())) == 1
        assert it.told("Page.setDocumentContent") == 1
        assert it.end()[0] == 0
    assert list((tmp_path / "run").iterdir()) == []
    assert it.told("Browser.close") == 1
    flags = (tmp_path / "said").read_text().splitlines()[0].split()
    assert "--remote-debugging-pipe" in flags
    assert "--no-sandbox" not in flags


def test_a_compositor_of_its_own(tmp_path, url):
    """It is told what to run, and hands on the pipes."""
    (tmp_path / "bin").mkdir()
    cage = tmp_path / "bin/cage"
    cage.write_text('#!/bin/sh\n[ "$1 $2" = "-d --" ] && shift 2 && exec "$@"\n')
    cage.chmod(0o755)
    with watched(tmp_path, "well", url, "--cage") as it:
        until(lambda: it.hears("READY=1"))
        assert it.end()[0] == 0
    assert "--ozone-platform=wayland" in (tmp_path / "said").read_text().split("\n")[0]


def test_a_page_that_is_not_there_yet_is_waited_for(tmp_path):
    """The manager hears what is missing, and the page is not opened before its server has it."""
    port = free_port()
    with watched(tmp_path, "well", f"http://127.0.0.1:{port}/") as it:
        until(lambda: it.hears("STATUS=waiting for"))
        assert it.hears("EXTEND_TIMEOUT_USEC")
        assert not it.hears("READY=1")
        assert it.told("Page.navigate http") == 0
        with served(tmp_path, port):
            until(lambda: it.hears("READY=1"))


@pytest.mark.parametrize(("fault", "starts"), [("crashes", 1), ("strays", 1), ("silent", 2), ("closes", 2)])
def test_what_has_gone_wrong_is_put_right(tmp_path, url, fault, starts):
    """A page that crashed or went elsewhere is opened again; a browser that is silent or closed is begun anew."""
    impatient = ["--silence-seconds=1"] if fault == "silent" else []
    with watched(tmp_path, fault, url, *impatient) as it:
        until(lambda: it.told("Page.navigate http") >= 2 and it.told("start") >= starts)
        assert starts == 2 or it.told("start") == 1
        it.heard.clear()
        until(lambda: it.hears(f"STATUS=showing {url}"))
        assert it.end()[0] == 0


def test_what_is_opened_beside_the_page_is_closed(tmp_path, url):
    """A second window is no visitor's to have."""
    with watched(tmp_path, "opens", url) as it:
        until(lambda: it.told("Target.closeTarget other") == 1)


def test_browsers_that_never_show_the_page_are_given_up(tmp_path, url):
    """After five, with what the last one had; systemd begins anew with the compositor then."""
    with watched(tmp_path, "ends nonsense ends ends ends", url) as it:
        assert it.process.wait(30) == 75
        assert "5 browsers in a row did not show the page; the last: Chromium" in it.end()[1]
        assert it.told("start") == 5


def test_a_board_without_a_browser(tmp_path, url):
    """It says what to install, and that trying again does not help."""
    (tmp_path / "run").mkdir()
    (tmp_path / "python3").symlink_to(sys.executable)
    words = [sys.executable, "-m", "edge", "browser", url]
    done = subprocess.run(words, env=surroundings(tmp_path), capture_output=True, text=True, check=False)
    assert (done.returncode, "apt install chromium" in done.stderr) == (78, True)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "page.html",
        "ftp://127.0.0.1/",
        "http://",
        "http://[::1",
        "http://a:99999/",
        "http://a/ --ask-seconds=0",
        "http://a/ --silence-seconds=nan",
        "http://a/ --flag=kiosk",
    ],
)
def test_wrong_words(words):
    """Status 2, before anything is started."""
    done = subprocess.run([sys.executable, "-m", "edge", "browser", *words.split()], check=False)
    assert done.returncode == 2


def test_a_panels_light(tmp_path):
    """Where no compositor runs, and what is said where there is no light either."""
    words = [sys.executable, "-m", "edge", "screen", "off", f"--root={tmp_path}"]
    found = {name: value for name, value in os.environ.items() if name not in ("WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")}
    done = subprocess.run(words, env=found, capture_output=True, text=True, check=False)
    assert (done.returncode, "no compositor runs" in done.stderr) == (78, True)
    switch = tmp_path / "sys/class/backlight/rpi/bl_power"
    switch.parent.mkdir(parents=True)
    switch.write_text("0\n")
    assert subprocess.run(words, env=found, check=False).returncode == 0
    assert switch.read_text() == "4"
    words[4] = "on"
    assert subprocess.run(words, env=found, check=False).returncode == 0
    assert switch.read_text() == "0"


@pytest.mark.skipif(shutil.which("sh") is None, reason="a shell plays wlr-randr")
def test_a_compositors_outputs(tmp_path):
    """Each is turned by its name; one that refuses is told with what it said."""
    program = tmp_path / "bin/wlr-randr"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\n[ "$3" ] && { echo "$2 $3" >> "$0.said"; exit; }\nprintf "A-1 x\\n  no\\nB-2 y\\n"\n'
    )
    program.chmod(0o755)
    words = [sys.executable, "-m", "edge", "screen", "off", f"--root={tmp_path}"]
    found = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "WAYLAND_DISPLAY": "wayland-7"}
    found["PATH"] = f"{program.parent}:{found['PATH']}"
    with socket.socket(socket.AF_UNIX) as compositor:
        compositor.bind(str(tmp_path / "wayland-7"))
        assert subprocess.run(words, env=found, check=False).returncode == 0
        assert program.with_name("wlr-randr.said").read_text() == "A-1 --off\nB-2 --off\n"
        program.write_text('#!/bin/sh\n[ "$3" ] && { echo stuck >&2; exit 1; }\necho A-1 x\n')
        done = subprocess.run(words, env=found, capture_output=True, text=True, check=False)
    assert (done.returncode, "does not turn A-1 off: stuck" in done.stderr) == (75, True)
