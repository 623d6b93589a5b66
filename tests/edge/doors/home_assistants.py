"""Where Home Assistant is installed, and one that runs (tests/edge/doors/inside_home_assistant.py)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

INSIDE = Path(__file__).with_name("inside_home_assistant.py")
SECONDS = 120
"""For what it is asked."""
OF_OURS = tuple(
    f"homeassistant.{each}"
    for each in (
        *(f"components.{name}" for name in ("mqtt", "sensor", "binary_sensor", "event", "update", "notify", "button")),
        *("helpers.template", "helpers.entity", "helpers.entity_platform", "core"),
    )
)
ECHO = "No device components to cleanup"
"""It clears a topic that was cleared, and hears itself."""
WHERE_NOT = "Home Assistant is not installed: `make ha-test` does that"


def pythons() -> list[Path]:
    """The interpreter of each; `$HOME_ASSISTANT_PYTHONS` names others than those that `make ha-test` makes."""
    named = [Path(each) for each in os.environ.get("HOME_ASSISTANT_PYTHONS", "").split(":") if each]
    return named or sorted(path.parent / "bin" / "python" for path in ROOT.glob(".venv-ha/*/ready"))


class HomeAssistant:
    """One that runs. What it does is in the other file."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, what: str, **details: Any) -> Any:
        """What a function there gives; RuntimeError where it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": what, **details}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "Home Assistant has ended; standard error says why"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def complaints(self) -> list[str]:
        """What it has against anything that came over MQTT."""
        said = [line for line in self.ask("log") if line.startswith(OF_OURS)]
        return [line for line in said if ECHO not in line]


@contextmanager
def home_assistant(python: Path, folder: Path) -> Iterator[HomeAssistant]:
    """One in a folder of its own; it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    command: Sequence[str] = [str(python), "-I", str(INSIDE), str(folder)]
    with (folder / "standard-error.log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield HomeAssistant(process)
    finally:
        process.communicate(timeout=SECONDS)


def accepted(told: HomeAssistant, discoveries: dict[str, str]) -> tuple[int, list[str]]:
    """Of the components of all messages, how many there are, and what is said against any of them, or a message."""
    count, against = 0, []
    for name, text in discoveries.items():
        verdicts = told.ask("validate", discovery=text)
        count += len(verdicts) - 1
        against += [f"{name}, {key}: {why}" for key, why in verdicts.items() if why]
    return count, against
