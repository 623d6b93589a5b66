"""Runs where chrome://policy is let through: what Chromium says of each policy that it knows, as JSON."""

from __future__ import annotations

import asyncio
import json

from edge.commands.kiosk_chromium import with_chromium
from edge.commands.kiosk_pipe import Pipe

ROWS = """
(() => {
  const found = {};
  const walk = (root) => {
    for (const each of root.querySelectorAll("*")) {
      if (each.tagName === "POLICY-ROW") {
        const cell = (name) => each.shadowRoot.querySelector(`.policy.row .${name}`)?.innerText.trim();
        found[cell("name")] = cell("messages");
      } else if (each.shadowRoot) walk(each.shadowRoot);
    }
  };
  walk(document);
  return found;
})()
"""


async def look(pipe: Pipe) -> None:
    """At the page, once it has drawn its table."""
    targets = (await pipe.call("Target.getTargets"))["targetInfos"]
    target = next(each["targetId"] for each in targets if each["url"] == "about:blank")
    session = (await pipe.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
    await pipe.call("Page.navigate", session, url="chrome://policy/")
    found: dict[str, str] = {}
    while not found:
        await asyncio.sleep(0.5)
        answer = await pipe.call("Runtime.evaluate", session, expression=ROWS, returnByValue=True)
        found = answer["result"]["value"]
    print(json.dumps(found))


if __name__ == "__main__":
    # Chromium's sandbox is not for root, who alone may put a policy where Chromium reads it.
    asyncio.run(with_chromium(["--headless", "--no-sandbox"], lambda *_: None, look))
