"""`python -m tests.kiosk.offline COMMAND…`: the command where nothing but loopback is there.

A network namespace of its own, by root or by a user namespace; and a mount namespace in which this machine's policies
for Chromium are out of sight: a kiosk's forbid what drives a browser. Exit status 1 where `unshare` is missing; else
the command's.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

UP = "import fcntl,socket;fcntl.ioctl(socket.socket(),0x8914,b'lo'.ljust(16,b'\\0')+b'\\x49\\0'+b'\\0'*22)"
"""SIOCSIFFLAGS: up and running. `ip` may not be installed."""
FOLDER = Path("/etc/chromium/policies")
POLICY = {
    "AutofillAddressEnabled": False,
    "AutofillCreditCardEnabled": False,
    "BrowserSignin": 0,
    "GenAILocalFoundationalModelSettings": 1,
    "ComponentUpdatesEnabled": False,
    "MetricsReportingEnabled": False,
    "SearchSuggestEnabled": False,
    "SafeBrowsingProtectionLevel": 0,
}
"""Without it Chromium itself looks for updates and for who is signed in, whatever page it shows."""


def command(words: list[str]) -> list[str]:
    """What runs some words without a network."""
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    script = f'"{sys.executable}" -m tests.kiosk.offline --inside\nexec "$@"'
    return ["unshare", *root, "--net", "--mount", "sh", "-ec", script, "sh", *words]


def inside() -> None:
    """Bring loopback up, and put a policy of our own where the machine's are."""
    os.system(f'"{sys.executable}" -c "{UP}"')
    if FOLDER.is_dir():
        os.system(f"mount -t tmpfs none {FOLDER}")
        (FOLDER / "managed").mkdir()
        (FOLDER / "managed/kiosk-test.json").write_text(json.dumps(POLICY), encoding="utf-8")


def is_offline() -> bool:
    """Whether this process has loopback alone."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    return [line.partition(":")[0].strip() for line in lines if ":" in line] == ["lo"]


if __name__ == "__main__":
    if sys.argv[1:] == ["--inside"]:
        inside()
    elif shutil.which("unshare") is None:
        sys.exit("unshare is not there: sudo apt install util-linux")
    else:
        os.execvp("unshare", command(sys.argv[1:]))
