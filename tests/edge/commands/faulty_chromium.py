"""A Chromium with faults: it speaks the DevTools protocol at descriptors 3 and 4, and then does as FAULTS says.

FAULTS is a file with a word for each start in a row: well, ends, silent, crashes, closes, strays, opens, nonsense.
What it was told it writes beside it, a line a command, after a line `start` with its flags.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

FAULTS = Path(os.environ["FAULTS"])
SAID = FAULTS.with_name("said")
PAGE = {"targetId": "page", "type": "page", "url": "about:blank"}
OTHER = {"targetId": "other", "type": "page", "url": "chrome://newtab/"}
AFTER_LOAD: dict[str, list[dict[str, Any]]] = {
    "crashes": [{"method": "Inspector.targetCrashed"}],
    "closes": [{"method": "Target.targetDestroyed", "params": {"targetId": "page"}}],
    "strays": [{"method": "Page.frameNavigated", "params": {"frame": {"url": "http://127.0.0.1:1/"}}}],
    "opens": [{"method": "Target.targetCreated", "params": {"targetInfo": OTHER}}],
}
RESULTS = {
    "Target.getTargets": {"targetInfos": [PAGE]},
    "Target.attachToTarget": {"sessionId": "session"},
    "Page.navigate": {"frameId": "frame"},
}


def say(message: dict[str, Any]) -> None:
    """One message."""
    os.write(4, json.dumps(message).encode() + b"\0")


def told() -> Any:
    """One command; the program ends where nobody tells any more."""
    data = b""
    while not data.endswith(b"\0"):
        more = os.read(3, 1)
        if not more:
            sys.exit()
        data += more
    return json.loads(data[:-1])


def note(line: str) -> None:
    """For the test."""
    with SAID.open("a") as file:
        file.write(f"{line}\n")


def main() -> None:
    """Until told to end."""
    starts = SAID.read_text().count("start ") if SAID.exists() else 0
    faults = FAULTS.read_text().split()
    fault = faults[starts] if starts < len(faults) else "well"
    note(f"start {' '.join(sys.argv[1:])}")
    if fault == "ends":
        sys.exit(1)
    if fault == "nonsense":
        os.write(4, b"{\0")
    is_loaded = False
    while True:
        command = told()
        url = command["params"].get("url", "")
        note(f"{command['method']} {url or command['params'].get('targetId', '')}")
        if command["method"] == "Browser.close":
            sys.exit()
        if fault == "silent" and is_loaded:
            continue
        say({"id": command["id"], "result": RESULTS.get(command["method"], {})})
        if url.startswith("http"):
            say({"method": "Page.frameNavigated", "params": {"frame": {"url": url}}})
            say({"method": "Page.loadEventFired"})
            if not is_loaded:
                for event in AFTER_LOAD.get(fault, []):
                    say(event)
            is_loaded = True


main()
