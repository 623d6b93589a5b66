"""Nothing is written outside what the operator named, and nobody is called.

The broker, the daemon and a client run in a network namespace with nothing but loopback, under strace, with a
fresh HOME and without `CI` in the environment (which would silence the runtime's telemetry by itself).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
PORT = 1883
"""Free in an empty network namespace, whatever the machine runs."""
WAIT_SECONDS = 60
"""The runtime's telemetry, where it is not silenced, looks up its collector within 45 s."""
CALL = re.compile(r"\b(?:connect|sendto|sendmsg)\(.*sa_family=(AF_INET6?), sin6?_port=htons\((\d+)\)(.*)")


def measure(bundle: Path) -> list[Figure]:
    """Files under HOME and foreign sockets of a daemon that answers and then stands for a minute."""
    with tempfile.TemporaryDirectory() as folder:
        files, calls = observe(Path(folder), serve_and_ask(bundle, PORT, WAIT_SECONDS), PORT)
    return [
        Figure("egress_files_under_home", len(files), "files", "==", 0),
        Figure("egress_foreign_calls", len(calls), "calls", "==", 0),
    ]


def observe(folder: Path, script: str, port: int) -> tuple[list[str], list[str]]:
    """Run a shell script with no network; the files it left under HOME and its calls to anything but the port.

    Raises RuntimeError where namespaces or strace cannot be had, or the script fails.
    """
    if shutil.which("strace") is None or shutil.which("unshare") is None:
        raise RuntimeError("strace and unshare are needed: sudo apt install strace util-linux")
    home, trace = folder / "home", folder / "trace"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    bring_up = "import fcntl,socket;fcntl.ioctl(socket.socket(),0x8914,b'lo'.ljust(16,b'\\0')+b'\\x49\\0'+b'\\0'*22)"
    whole = f'"{sys.executable}" -c "{bring_up}"\n{script}'
    traced = [
        "strace",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-e",
        "trace=connect,sendto,sendmsg",
        "-o",
        str(trace),
        "sh",
        "-ec",
        whole,
    ]
    done = subprocess.run([*unshare, *traced], cwd=ROOT, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the traced script failed: {done.stderr.decode(errors='replace')[-2000:]}")
    files = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    return files, foreign_calls(trace.read_text(errors="replace"), port)


def foreign_calls(trace: str, port: int) -> list[str]:
    """Lines of a trace that address anything but the broker's port on loopback."""
    found = []
    for line in trace.splitlines():
        match = CALL.search(line)
        if match and not (int(match[2]) == port and '"127.0.0.1"' in match[3]):
            found.append(line)
    return found


def serve_and_ask(bundle: Path, port: int, seconds: int) -> str:
    """A shell script: broker, daemon, one question that must be answered, then a wait."""
    edge = f'"{sys.executable}" -m edge'
    return f"""
export EDGE_BROKER__PORT={port} EDGE_ENGINE__BUNDLE='{bundle.resolve()}' EDGE_DEVICE=quiet
export EDGE_JOURNAL__FOLDER="$HOME/../journal" EDGE_ENGINE__CACHE_FOLDER="$HOME/../cache"
{edge} broker --port {port} & broker=$!
sleep 2
{edge} serve & daemon=$!
{edge} ask --timeout 60 --max-tokens 16 'What is the capital of France?' | grep Paris
sleep {seconds}
kill $daemon; wait $daemon
kill $broker; wait $broker
"""
