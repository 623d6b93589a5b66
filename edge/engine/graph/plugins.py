"""What devices a provider's plugin offers, found out in a process of its own: a plugin may well crash what loads it.

`python -m edge.engine.graph.plugins NAME` prints them as JSON, a text each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile

from edge.engine.graph.session import runtime
from edge.engine.providers import Row, row_of
from edge.errors import ConfigError, EdgeError

SECONDS_MAX = 60.0
"""A plugin that has not answered by then never will."""
SHOWN = 300
"""Characters of what it said last."""


def devices(row: Row) -> list[str]:
    """What an installed plugin offers here, as `GPU (Broadcom)`; none where there is no such device.

    Raises ConfigError where it cannot be loaded, or crashes, or does not come back.
    """
    with tempfile.TemporaryFile() as said:
        command = [sys.executable, "-m", "edge.engine.graph.plugins", row.name]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=said, timeout=SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f"{row.distribution} did not load within {SECONDS_MAX:.0f} s") from error
        if done.returncode:
            said.seek(0)
            last = said.read(1 << 20).decode(errors="replace").strip().rpartition("\n")[2]
            raise ConfigError(f"{row.distribution} does not load (exit status {done.returncode}): {last[-SHOWN:]}")
    return [str(each) for each in json.loads(done.stdout.rpartition(b"DEVICES ")[2])]


def _offered(row: Row) -> list[str]:
    ort = runtime()
    ort.set_default_logger_severity(4)
    ort.register_execution_provider_library(row.runtime_name, row.library())
    found = [each for each in ort.get_ep_devices() if each.ep_name == row.runtime_name]
    told = [(each.device.type.name, each.device.vendor or each.ep_vendor) for each in found]
    return [f"{kind} ({maker}{'; emulator, not hardware' if kind == row.emulator else ''})" for kind, maker in told]


if __name__ == "__main__":
    try:
        print("DEVICES", json.dumps(_offered(row_of(sys.argv[1]))))
    except EdgeError as error:
        sys.exit(str(error))
