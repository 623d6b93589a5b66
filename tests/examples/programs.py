"""Each example that asks a question: its command line, and what it needs to be there.

Those without a toolchain of their own run in the everyday suite; `make examples-test` installs what the others want
(deploy/example_toolchains.py) and runs all.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tests.conftest import ROOT

EXAMPLES = ROOT / "docs/examples"
TOOLCHAINS = ROOT / ".venv-examples"
"""Where deploy/example_toolchains.py puts them."""
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-g"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@dataclass(frozen=True)
class Program:
    """One of them. command: makes its command line, without the question. missing: why it cannot run here, or ""."""

    name: str
    command: Callable[[], list[str]]
    missing: Callable[[], str]
    is_everyday: bool = False


def has_all(*names: str) -> str:
    """What is not on the path."""
    absent = [name for name in names if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


def has_module(name: str) -> str:
    """Whether Python has a package."""
    return "" if importlib.util.find_spec(name) else f"not installed: {name}"


def has_toolchain(name: str) -> str:
    """Whether `make examples-test` has installed it."""
    return "" if (TOOLCHAINS / name).exists() else f"`make examples-test` installs {name}"


@cache
def built(name: str, *options: str) -> str:
    """The C example, compiled with these options; its path."""
    path = TOOLCHAINS / name
    command = ["cc", *WARNINGS, *options, "-o", str(path), str(EXAMPLES / "c/ask.c"), "-lmosquitto"]
    subprocess.run(command, check=True)
    return str(path)


def micropython() -> list[str]:
    """MicroPython's unix port, which looks for umqtt where it is told."""
    start = "import sys, micropython_unix; sys.argv[0] = 'micropython'; sys.exit(micropython_unix.main())"
    return [str(TOOLCHAINS / "bin/python"), "-c", start, str(EXAMPLES / "micropython/ask.py")]


PROGRAMS = [
    Program(
        "shell", lambda: [str(EXAMPLES / "shell/ask.sh")], lambda: has_all("mosquitto_sub", "mosquitto_pub", "jq"), True
    ),
    Program("paho", lambda: [sys.executable, str(EXAMPLES / "python/ask_paho.py")], lambda: "", True),
    Program(
        "aiomqtt",
        lambda: [sys.executable, str(EXAMPLES / "python/ask_aiomqtt.py")],
        lambda: has_module("aiomqtt"),
        True,
    ),
    Program("c", lambda: [built("ask-sanitized", *SANITIZERS)], lambda: has_all("cc") or has_toolchain("libmosquitto")),
    Program(
        "javascript",
        lambda: ["node", str(TOOLCHAINS / "javascript/ask.js")],
        lambda: has_all("node") or has_toolchain("javascript"),
    ),
    Program("micropython", micropython, lambda: has_toolchain("umqtt")),
]


def reason_to_skip(program: Program) -> str:
    """Why it does not run, or "". Where all are asked for, what is missing is no reason: it fails."""
    if os.environ.get("RUN_EXAMPLES"):
        return ""
    return program.missing() if program.is_everyday else "`make examples-test` runs it"


def parameters() -> list[Any]:
    """All of them, for `pytest.mark.parametrize`."""
    skip = [(program, reason_to_skip(program)) for program in PROGRAMS]
    return [pytest.param(each, id=each.name, marks=pytest.mark.skipif(bool(why), reason=why)) for each, why in skip]


def there() -> list[Program]:
    """Those that run now."""
    return [program for program in PROGRAMS if not reason_to_skip(program)]


def asked(program: Program, port: int, question: str | None, **settings: str) -> subprocess.Popen[str]:
    """It is running, its output in pipes. question: None where it gets none."""
    environment = {**os.environ, "MQTT_PORT": str(port), "MICROPYPATH": str(TOOLCHAINS / "umqtt")}
    environment["XDG_CONFIG_HOME"] = "/nowhere"  # Mosquitto's clients have settings of whoever runs this
    return subprocess.Popen(
        [*program.command(), *([] if question is None else [question])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, **settings},
        start_new_session=True,
    )
