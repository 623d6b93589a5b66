"""What a page holds in memory, by Chromium's own snapshot of it."""

from __future__ import annotations

import json
from typing import Any


def strings(page: Any) -> list[str]:
    """Every text in the page's heap, after what is garbage has been collected."""
    session = page.context.new_cdp_session(page)
    chunks: list[str] = []
    session.on("HeapProfiler.addHeapSnapshotChunk", lambda event: chunks.append(event["chunk"]))
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    session.send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False})
    session.detach()
    return [str(each) for each in json.loads("".join(chunks))["strings"]]


def used_bytes(page: Any) -> int:
    """What the page's script holds once garbage has been collected."""
    session = page.context.new_cdp_session(page)
    for _ in range(3):  # what finalizers let go is garbage of the next turn
        session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return int(used)
