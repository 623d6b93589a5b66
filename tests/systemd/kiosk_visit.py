"""Runs on a box, in the package's own Python: what Chromium lets a visitor do under the kiosk's policy, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from edge.commands.kiosk_browser import names
from edge.commands.kiosk_chromium import with_chromium
from edge.commands.kiosk_pipe import Pipe

PAGE = "http://127.0.0.1:9001/"
CAMERA = "navigator.mediaDevices.getUserMedia({%s: true}).then(() => 'granted', error => error.name)"
FILES = "showOpenFilePicker().then(() => 'granted', error => error.name)"


ASK = """
(async () => {
  const part = (name) => document.querySelector(`[data-part=${name}]`);
  const until = async (so) => { while (!so()) await new Promise((done) => setTimeout(done, 100)); };
  await until(() => document.documentElement.dataset.screen);
  if (document.documentElement.dataset.screen === "attract") part("attract").querySelector("button").click();
  await until(() => document.documentElement.dataset.screen === "ask");
  await new Promise((done) => setTimeout(done, 1000));
  part("prompt").value = "What is the capital of France?";
  part("prompt").dispatchEvent(new Event("input", {bubbles: true}));
  part("ask").click();
  await until(() => ["done", "failed"].includes(part("turn-answer")?.dataset.state));
  return part("turn-answer").innerText;
})()
"""


async def visit(pipe: Pipe, addresses_and_words: list[str], found: dict[str, Any]) -> None:
    """What becomes of each address, and of what a page may ask for."""
    targets = (await pipe.call("Target.getTargets"))["targetInfos"]
    target = next(each["targetId"] for each in targets if each["url"] == "about:blank")
    session = (await pipe.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
    await pipe.call("Page.enable", session)
    for address in (each for each in addresses_and_words if each != "ask"):
        found[address] = (await pipe.call("Page.navigate", session, url=address)).get("errorText", "shown")
        await asyncio.sleep(0.5)
    await pipe.call("Page.navigate", session, url=PAGE)
    await asyncio.sleep(1)
    if "ask" in addresses_and_words:
        answer = await pipe.call("Runtime.evaluate", session, expression=ASK, awaitPromise=True, seconds=60)
        found["answer"] = answer["result"].get("value", answer)
    words = {"camera": CAMERA % "video", "microphone": CAMERA % "audio", "files": FILES}
    words["window"] = f"String(window.open('{PAGE}'))"
    for name, script in words.items():
        answer = await pipe.call("Runtime.evaluate", session, expression=script, awaitPromise=True, userGesture=True)
        found[name] = answer["result"].get("value", answer["result"].get("description"))


def main() -> None:
    """A folder, then addresses, and `ask` for who wants an answer."""
    found: dict[str, Any] = {}

    async def work(pipe: Pipe) -> None:
        await visit(pipe, sys.argv[2:], found)
        found["kept"] = [str(path) for path in Path(sys.argv[1]).rglob("*.bin")]

    flags = [names(PAGE), "--headless", "--use-fake-device-for-media-stream"]
    asyncio.run(with_chromium(flags, lambda *_: None, work))
    print(json.dumps(found))


main()
