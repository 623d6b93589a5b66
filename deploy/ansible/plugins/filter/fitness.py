"""What a board says of itself before and after another bundle, judged; and what became of all of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Body = dict[str, Any]
READY = ("online", "unloaded")
WORDS = {
    "failed": "FAILED, and may run it: see to it",
    "put_back": "was put back",
    "rolled_back": "did not keep it",
    "away": "was not there, and was not asked",
    "kept": "runs it",
    "there": "ran it before",
    "untouched": "was not reached",
    "planned": "would be asked",
}
"""Of a report, for each result, in its order."""


def heard(status: Mapping[str, Any], asked: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]) -> Body:
    """A board's health in a few fields, of what `edge status --json` and `edge ask --json` printed, as registered.

    asked: for speed, in a loop. answers: to the operator's questions, in a loop over them.
    """
    said = _json(status)
    telemetry = _part(said, "telemetry")
    return {
        "state": _part(said, "status").get("state", "unknown"),
        "governor": _part(said, "status").get("governor"),
        "why": str(status.get("stderr", ""))[-300:].strip(),
        "bundle": _part(telemetry, "bundle"),
        "throttled": sorted(name for name, is_on in _part(_part(telemetry, "throttling"), "now").items() if is_on),
        "speed": speed([_json(each) for each in asked]),
        "wrong": [why for each in answers if (why := wrong(each["item"], each))],
    }


def _json(command: Mapping[str, Any]) -> Body:
    try:
        body = json.loads(command.get("stdout", ""))
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _part(body: Mapping[str, Any], name: str) -> Body:
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def speed(replies: Sequence[Body]) -> float | None:
    """Tokens a second, the median of several answers; None where none has taken any time."""
    found = []
    for reply in replies:
        tokens, seconds = _part(reply, "usage").get("completion_tokens"), _part(reply, "timings").get("decode_seconds")
        if reply.get("code") == 200 and tokens and seconds:
            found.append(tokens / seconds)
    return round(statistics.median(found), 2) if found else None


def wrong(question: Body, answer: Mapping[str, Any]) -> str:
    """What is wrong with an answer, in words; empty where it has what it is to contain."""
    reply = _json(answer)
    text = str(reply.get("text", ""))
    if reply.get("code") != 200:
        return f"no answer to {question['prompt']!r}: {str(answer.get('stderr', '')).strip()[-200:] or 'out of time'}"
    if str(question["contains"]).casefold() in text.casefold():
        return ""
    return f"{question['prompt']!r} is answered with {text[:80]!r}, without {question['contains']!r}"


def faults(after: Body, before: Body, bundle: str, floor: float) -> list[str]:
    """Why a board is not fit with a bundle (NAME@VERSION), in words; what was so before is not the bundle's fault."""
    found = []
    if after["state"] not in READY:
        found.append(f"it is {after['state']}")
    if named(after["bundle"]) != bundle or after["bundle"].get("state") != "kept":
        found.append(f"it runs {named(after['bundle'])} ({after['bundle'].get('state', 'unknown')})")
    if after["governor"] == "slowed" and before["governor"] != "slowed":
        found.append("its governor slows it down")
    if fresh := sorted(set(after["throttled"]) - set(before["throttled"])):
        found.append(f"it throttles itself: {', '.join(fresh)}")
    if before["speed"] and (after["speed"] or 0) < float(floor) * before["speed"]:
        found.append(f"{after['speed'] or 0:g} tokens a second, of {before['speed']:g} before")
    return [*found, *after["wrong"]]


def named(bundle: Mapping[str, Any]) -> str:
    """NAME@VERSION of what telemetry says of a bundle."""
    return f"{bundle.get('name', 'nothing')}@{bundle.get('version', '?')}"


def standing(before: Body, bundle: str) -> Body:
    """A board's result as long as nothing was asked of it: `there`, `away`, or `planned`."""
    runs = named(before["bundle"])
    if before["state"] not in READY:
        return {"state": "away", "runs": runs, "why": f"it is {before['state']}: {before['why']}".rstrip(": ")}
    if runs == bundle and before["bundle"].get("state") == "kept":
        return {"state": "there", "runs": runs, "why": ""}
    return {"state": "planned", "runs": runs, "why": ""}


def outcome(after: Body, before: Body, bundle: str, floor: float, wish: Mapping[str, Any]) -> Body:
    """A board's result after its wish has ended. wish: what `edge rollout` came to.

    `kept`; `rolled_back`, where the board went back by itself; else `failed`, and is to be put back.
    """
    runs, last = named(after["bundle"]), (str(wish.get("stdout", "")).strip().splitlines() or [""])[-1]
    if wish.get("rc") == 0:
        why = "; ".join(faults(after, before, bundle, floor))
        return {"state": "failed" if why else "kept", "runs": runs, "why": why}
    why = last or str(wish.get("stderr", "")).strip()[-300:] or str(wish.get("msg", ""))
    is_back = wish.get("rc") == 1 and runs == named(before["bundle"])
    return {"state": "rolled_back" if is_back else "failed", "runs": runs, "why": why}


def put_back(result: Body, after: Body, before: Body, wish: Mapping[str, Any]) -> Body:
    """The same, after the wish for what it ran before has ended."""
    runs = named(after["bundle"])
    if runs == named(before["bundle"]):
        return {"state": "put_back" if result["state"] in ("failed", "kept") else result["state"], **_of(result, runs)}
    said = (str(wish.get("stdout", "")).strip().splitlines() or [""])[-1]
    why = f"not put back: {said or str(wish.get('stderr', '')).strip()[-300:]}"
    return {"state": "failed", "runs": runs, "why": "; ".join(filter(None, (result["why"], why)))}


def _of(result: Body, runs: str) -> Body:
    return {"runs": runs, "why": result["why"] or "others of its wave failed"}


def report(results: Mapping[str, Body]) -> list[str]:
    """A line for each board, those that want somebody first."""
    order = list(WORDS)
    return [
        f"{board}: {WORDS[result['state']]} ({result['runs']}){': ' + result['why'] if result['why'] else ''}"
        for board, result in sorted(results.items(), key=lambda item: (order.index(item[1]["state"]), item[0]))
    ]


def versioned(bundle: str) -> str:
    """A bundle that is NAME@VERSION; ValueError for another, since boards are compared by it."""
    name, _, version = str(bundle).partition("@")
    if not name or not version:
        raise ValueError(f"rollout_bundle is NAME@VERSION, not {bundle!r}")
    return str(bundle)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        named_here = (heard, faults, named, standing, outcome, put_back, report, versioned)
        return {each.__name__: each for each in named_here}
