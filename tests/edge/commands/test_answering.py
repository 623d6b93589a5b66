"""Options of `edge ask` and `edge run` that are fields of a request."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from edge.commands import ask, run
from edge.commands.answering import ANSWERING, ASKING
from edge.commands.ask import build_request
from edge.wire.chat import ChatRequest, validated

OTHERWISE = {
    "prompt": "the words themselves",
    "messages": "pictures, and the turns of `edge run`",
    "response_format": "--json-schema and --json-object",
    "stream": "--no-stream, --json",
    "deadline_ms": "--timeout",
    "input": "--embed",
    "encoding_format": "--embed",
    "dimensions": "--embed",
    "max_completion_tokens": "the same as --max-tokens",
    "id": "made up",
    "response_topic": "the command's own",
    "tools": "whose calls a program takes",
    "tool_choice": "likewise",
}
SAID: dict[str, tuple[tuple[str, ...], Any]] = {
    "system": (("--system", "Be brief."), "Be brief."),
    "max_tokens": (("--max-tokens", "9"), 9),
    "min_tokens": (("--min-tokens", "2"), 2),
    "temperature": (("--temperature", "0.5"), 0.5),
    "top_k": (("--top-k", "0"), 0),
    "top_p": (("--top-p", "0.9"), 0.9),
    "min_p": (("--min-p", "0.1"), 0.1),
    "seed": (("--seed", "-1"), -1),
    "repetition_penalty": (("--repetition-penalty", "1.1"), 1.1),
    "presence_penalty": (("--presence-penalty", "-0.5"), -0.5),
    "frequency_penalty": (("--frequency-penalty", "0.5"), 0.5),
    "logit_bias": (("--logit-bias", "7=-3,12=2.5"), {7: -3.0, 12: 2.5}),
    "stop": (("--stop", "END", "--stop", "a, b"), ["END", "a, b"]),
    "stop_token_ids": (("--stop-token-ids", "5, 17"), [5, 17]),
    "n": (("--n", "2"), 2),
    "num_beams": (("--num-beams", "3"), 3),
    "length_penalty": (("--length-penalty", "-1"), -1.0),
    "early_stopping": (("--early-stopping", "never"), "never"),
    "logprobs": (("--logprobs",), True),
    "top_logprobs": (("--top-logprobs", "4"), 4),
    "loop_guard": (("--no-loop-guard",), False),
    "board_tools": (("--board-tools", "lamp, weather"), ["lamp", "weather"]),
    "scorers": (("--scorers", "no-repeat"), ["no-repeat"]),
    "model": (("--model", "other"), "other"),
    "documents": (("--documents", "manuals"), "manuals"),
    "priority": (("--priority", "low"), "low"),
    "keep": (("--no-keep",), False),
    "upstream": (("--no-upstream",), False),
    "keep_alive_seconds": (("--keep-alive-seconds", "-1"), -1.0),
}


def parsed(*words: str) -> argparse.Namespace:
    """Options of `edge ask`."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    ask.add_arguments(parser)
    return parser.parse_args(["hi", *words])


def test_every_field_has_an_option_or_a_reason():
    """A new field of a request is asked for on the command line, too, or it is said above why not."""
    assert {wish.field for wish in (*ANSWERING, *ASKING)} == set(SAID)
    assert set(ChatRequest.model_fields) == set(SAID) | set(OTHERWISE)


@pytest.mark.parametrize("field", SAID)
def test_an_option_is_its_field(field):
    """As the board reads it; what is not said is left to the board."""
    words, value = SAID[field]
    request = build_request(parsed(*words))
    assert set(request) == {"id", "stream", "prompt", field}
    assert getattr(validated(request), field) == value


@pytest.mark.parametrize(
    "words", [("--logit-bias", "7"), ("--stop-token-ids", "a"), ("--early-stopping", "soon"), ("--top-k", "1.5")]
)
def test_what_is_none_is_wrong_usage(words, capsys):
    """By the option's name."""
    with pytest.raises(SystemExit) as ended:
        parsed(*words)
    assert ended.value.code == 2
    assert f"argument {words[0]}" in capsys.readouterr().err


def test_any_object_or_one_of_a_schema(tmp_path):
    """Not both."""
    (tmp_path / "schema").write_text('{"type": "object"}')
    assert validated(build_request(parsed("--json-object"))).response_format.type == "json_object"
    assert validated(build_request(parsed("--json-schema", str(tmp_path / "schema")))).guidance()
    with pytest.raises(SystemExit):
        parsed("--json-object", "--json-schema", "schema")


def test_a_run_has_those_that_are_about_the_answer():
    """Its own words `model` and `--keep` are no fields."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    run.add_arguments(parser)
    request = build_request(parser.parse_args(["smollm2", "hi", "--keep", "--top-k", "3"]))
    assert {name: request[name] for name in set(request) - {"id", "stream"}} == {"prompt": "hi", "top_k": 3}
