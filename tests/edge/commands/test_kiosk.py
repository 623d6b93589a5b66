"""`edge kiosk` as a process: the page, its settings and an answer over the WebSocket, from start to Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import User
from tests.conftest import EDGE, ROOT, free_port, wait_until


@pytest.fixture
def page(tmp_path) -> Path:
    """A page that is small, with settings that the command's own are to come before."""
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><p>a page")
    (folder / "kiosk.json").write_text('{"device": "another"}')
    return folder


@contextlib.contextmanager
def shown(*options: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The kiosk, and what it has said up to how to end it."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    process = subprocess.Popen(
        [*EDGE, "kiosk", *options],
        cwd=ROOT,
        env={**environment, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = ""
        while "Ctrl-C ends it" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        yield process, said
    finally:
        process.terminate()
        process.communicate(timeout=60)


def address_of(said: str) -> str:
    """Where the page is."""
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+/", said)
    return address


def fetched(address: str) -> bytes:
    """What lies there."""
    with urllib.request.urlopen(address, timeout=10) as answer:
        return bytes(answer.read())


def test_a_kiosk_from_start_to_ctrl_c(bundle, page):
    """Page and settings are handed out; who asks as the page does is answered by the model; SIGINT ends it with 0."""
    with shown("--bundle", str(bundle), "--page", str(page), f"--port={free_port()}") as (process, said):
        assert "Open in a browser: " in said
        address = address_of(said)
        assert fetched(address) == b"<!doctype html><p>a page"
        settings = json.loads(fetched(f"{address}kiosk.json"))
        assert settings["device"] == "demo"
        assert all(settings["suggestions"].values())
        for path in ("none", "page/kiosk.json", "..%2fpage/kiosk.json", "documents/kiosk/a.txt"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                fetched(f"{address}{path}")
        port = int(address.split(":")[2].rstrip("/"))
        with User(port, "answers/kiosk/tab", transport="websockets") as user:
            request = {"messages": [{"role": "user", "content": settings["suggestions"]["en"][0]}], "id": "q"}
            user.publish("edge/demo/request/kiosk", request, ResponseTopic="answers/kiosk/tab")
            deltas, reply = user.answer(name="q")
            assert "Paris" in reply["text"]
            assert len(deltas) > 1
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_a_browser_opens_where_there_is_a_screen(bundle, page, tmp_path):
    """And not where --no-browser says so; a taken port gives way to a free one."""
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o755)
    screen = {"DISPLAY": ":7", "BROWSER": str(browser)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = ("--bundle", str(bundle), "--page", str(page), f"--port={port}")
        with shown(*options, "--no-browser", **screen) as (_, said):
            assert "Open in a browser: " in said
            assert not address_of(said).endswith(f":{port}/")
            assert not opened.exists()
        with shown(*options, **screen) as (_, said):
            assert "A browser opens: " in said
            wait_until(opened.exists)
            wait_until(lambda: opened.read_text() == f"{address_of(said)}\n")


@pytest.mark.checkout
def test_the_checkouts_page_answers_from_documents(bundle, tmp_path):
    """Without --page it is the one that was built; an answer comes out of the folder, whose files it can open."""
    (tmp_path / "rooms").mkdir()
    text = "# Opening hours\n\nThe museum is open from ten to six. On Mondays it is closed.\n"
    (tmp_path / "rooms/hours.md").write_text(text)
    with shown("--bundle", str(bundle), f"--port={free_port()}", "--documents", str(tmp_path)) as (process, said):
        address = address_of(said)
        for name in ("index.html", "kiosk.js", "languages/en.json"):
            assert fetched(f"{address}{name}") == (ROOT / "deploy/kiosk/dist" / name).read_bytes()
        settings = json.loads(fetched(f"{address}kiosk.json"))
        question = {"messages": [{"role": "user", "content": "When is the museum closed?"}], "id": "q"}
        question |= {"documents": settings["documents"], "max_tokens": 40}
        with User(int(address.split(":")[2].rstrip("/")), "answers/kiosk/tab", transport="websockets") as user:
            user.publish("edge/demo/request/kiosk", question, ResponseTopic="answers/kiosk/tab")
            (source,) = user.answer(name="q")[1]["sources"]
        assert source["path"] == "rooms/hours.md"
        assert fetched(f"{address}{settings['documents_url'].lstrip('/')}{source['path']}") == text.encode()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_documents_that_are_not_there(bundle, page, tmp_path):
    """Nothing starts; the status is that of documents."""
    command = [*EDGE, "kiosk", "--bundle", str(bundle), "--page", str(page), "--documents", str(tmp_path / "none")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "the documents were not indexed" in done.stderr) == (65, True), done.stderr
    assert "broker" not in done.stdout


@pytest.mark.parametrize("given", [["--page={folder}"], ["--port=0"], ["--port=x"]])
def test_options_that_cannot_be(bundle, tmp_path, given):
    """Exit status 2, before anything starts."""
    options = [each.format(folder=tmp_path) for each in given]
    command = [*EDGE, "kiosk", "--bundle", str(bundle), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, given[0].split("=")[0] in done.stderr) == (2, True)
