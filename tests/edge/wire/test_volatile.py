"""What changes from call to call is laid last, marked or by its form, and nothing else is touched."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import lists, sampled_from, text

from edge.config.prompts import OF_HOME_ASSISTANT
from edge.errors import BadRequest
from edge.wire.chat import ChatRequest, validated
from edge.wire.fields import parse_fields
from edge.wire.message import dumps
from edge.wire.passed import fields_of
from edge.wire.volatile import Forms, split

NOW = "Current time is 20:37:19. Today's date is 2024-12-20."
ROOM = "You are in area Hall (floor Ground) and all generic commands like 'turn on the lights' should target this area."
SYSTEM = "You are a voice assistant for Home Assistant.\nAnswer in plain text.\n"
HOME = Forms(OF_HOME_ASSISTANT)
TOOL = {"type": "function", "function": {"name": "switch", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def marked(words: str) -> dict[str, str]:
    """A part that says of itself that it changes."""
    return {"type": "text", "text": words, "cache": "volatile"}


def plain(words: str) -> dict[str, str]:
    """Another part."""
    return {"type": "text", "text": words}


def asked(*turns: tuple[str, Any], **fields: Any) -> ChatRequest:
    """A request of some turns."""
    messages = [{"role": role, "content": content} for role, content in turns]
    return validated({"messages": messages, **fields} if turns else fields)


def read(request: ChatRequest) -> list[tuple[str, str]]:
    """The turns as a chat template reads them."""
    return [(turn["role"], turn["content"]) for turn in request.conversation()]


def test_a_marked_part_is_read_before_the_last_words_of_the_user():
    """Of a system prompt and of an earlier turn, in their order; the asker asked for it and is told nothing."""
    request = asked(
        ("system", [marked(NOW), plain(SYSTEM)]),
        ("user", [plain("Is it dark?"), marked("The lamp is off.")]),
        ("assistant", "Yes."),
        ("user", "Switch it on."),
    )
    last = f"{NOW}\nThe lamp is off.\nSwitch it on."
    assert read(request) == [("system", SYSTEM), ("user", "Is it dark?"), ("assistant", "Yes."), ("user", last)]
    assert request.warnings == ()


def test_what_is_before_it_is_the_same_whatever_the_time_is():
    """All but the last turn is equal to the letter, and that from its first letter on differs."""
    first, second = (
        read(asked(("system", [marked(f"It is {hour}."), plain(SYSTEM)]), ("user", "Hello"))) for hour in (9, 10)
    )
    assert first[:-1] == second[:-1]
    assert first != second


def test_a_whole_turn_is_laid_last():
    """Nothing is left of it where it was; a turn of the user's likewise."""
    turns = [
        {"role": "system", "content": SYSTEM},
        {"role": "developer", "content": NOW, "cache": "volatile"},
        {"role": "user", "content": "The lamp is off.", "cache": "volatile"},
        {"role": "user", "content": "Switch it on."},
    ]
    request = validated({"messages": turns})
    assert read(request) == [("system", SYSTEM), ("user", f"{NOW}\nThe lamp is off.\nSwitch it on.")]
    assert request.questions() == ["Switch it on."]


def test_the_last_turn_and_what_is_behind_it_stay():
    """A mark in the user's last turn moves nothing; a call and its result behind it stay where they are."""
    call = {"id": "c", "type": "function", "function": {"name": "switch", "arguments": "{}"}}
    turns = [
        {"role": "system", "content": [marked(NOW), plain(SYSTEM)]},
        {"role": "user", "content": [plain("Look at this:"), marked("21 degrees"), plain("Is it warm?")]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "name": "switch", "content": "done"},
    ]
    request = read(validated({"messages": turns}))
    assert request[1] == ("user", f"{NOW}\nLook at this:\n21 degrees\nIs it warm?")
    assert [role for role, _ in request] == ["system", "user", "assistant", "user"]
    assert request[3][1] == "Result of switch: done"


def test_an_answer_that_is_gone_on_with_stays_last():
    """The user's last turn is the one before it."""
    turns = [("system", [marked(NOW), plain(SYSTEM)]), ("user", "What time is it?"), ("assistant", "It is")]
    assert read(asked(*turns))[1:] == [("user", f"{NOW}\nWhat time is it?"), ("assistant", "It is")]


def test_without_a_turn_of_the_user_nothing_moves():
    """There are no words to lay it before, marked or not."""
    request = asked(("system", [marked(NOW), plain(SYSTEM)]))
    assert not request.lay_last(HOME)
    assert read(request) == [("system", f"{NOW}\n{SYSTEM}")]
    request = validated({"messages": [{"role": "assistant", "content": "It is"}], "system": f"{NOW}\n{SYSTEM}"})
    assert not request.lay_last(HOME)
    assert read(request)[0] == ("system", f"{NOW}\n{SYSTEM}")


def test_tools_and_pictures_stay_where_they_are():
    """Tools stand in the system prompt, which is the same with them whatever the time is."""
    turns = [("system", [marked(NOW), plain(SYSTEM)]), ("user", [IMAGE, marked("It is dark.")]), ("user", "Why?")]
    request = asked(*turns, tools=[TOOL])
    system, picture, last = read(request)
    assert system[1].startswith(SYSTEM)
    assert "switch" in system[1]
    assert NOW not in system[1]
    assert picture[1] == request.pictures()[0].place
    assert last[1] == f"{NOW}\nIt is dark.\nWhy?"


@pytest.mark.parametrize(
    ("turn", "place"),
    [
        ({"role": "user", "content": [plain("a") | {"cache": "ephemeral"}]}, "messages.0.content.0.cache"),
        ({"role": "user", "content": "a", "cache": True}, "messages.0.cache"),
        ({"role": "assistant", "content": "a", "cache": "volatile"}, "messages.0.cache"),
        ({"role": "assistant", "content": [plain("a"), marked("b")]}, "messages.0.content.1.cache"),
        ({"role": "tool", "content": [marked("b")]}, "messages.0.content.0.cache"),
        ({"role": "user", "content": [IMAGE], "cache": "volatile"}, "messages.0.cache"),
    ],
)
def test_what_cannot_be_marked_is_told_by_its_place(turn: dict[str, Any], place: str):
    """Another value, another's words, a turn with a picture."""
    with pytest.raises(BadRequest) as found:
        validated({"messages": [turn, {"role": "user", "content": "Hello"}]})
    assert found.value.param == place


def test_null_is_not_said_and_a_picture_has_no_mark():
    """As everywhere; what is not known at a picture is ignored and told."""
    request = asked(("user", [plain("a") | {"cache": None}, IMAGE | {"cache": "volatile"}]), ("user", "b"))
    assert read(request)[0][1].startswith("a\n")
    assert request.warnings == ("the field 'messages.0.content.1.cache' is not known and was ignored",)


# --- by their form ---


@pytest.mark.parametrize(
    "line",
    [
        NOW,
        f"  {NOW}\r",
        ROOM,
        ROOM.replace(" (floor Ground)", ""),
        "The current time and date is 03:12 PM on Friday November 28, 2026",
        "Current Time: 2026-11-28 03:50:31.123456+00:00",
    ],
)
def test_lines_of_assist_are_known(line: str):
    """Of Home Assistant's own prompts and of two integrations, at the head, within and at the end."""
    for system, left in (
        (f"{line}\n{SYSTEM}", SYSTEM),
        (f"{SYSTEM}{line}\n- names: Lamp\n", f"{SYSTEM}- names: Lamp\n"),
        (f"{SYSTEM}{line}", SYSTEM),
    ):
        for request in (
            validated({"system": system, "prompt": "Hello"}),
            asked(("system", system), ("user", "Hello")),
            asked(("developer", [plain(system)]), ("user", "Hello")),
        ):
            assert request.lay_last(HOME)
            moved = line.rstrip("\r")
            assert read(request) == [("system", left), ("user", f"{moved}\nHello")]
            assert read(request.model_copy()) == read(request)


@pytest.mark.parametrize(
    "words",
    [
        "Current time is 20:37:19.",
        f"{NOW} Be brief.",
        f"Say: {NOW}",
        "current time: 3",
        "Current time is a matter of taste. Today's date is not.",
    ],
)
def test_other_lines_stay(words: str):
    """A form is of a whole line."""
    request = validated({"system": f"{words}\n{SYSTEM}", "prompt": "Hello"})
    assert not request.lay_last(HOME)
    assert read(request) == [("system", f"{words}\n{SYSTEM}"), ("user", "Hello")]


def test_only_system_prompts_are_looked_at():
    """What the user says of the time is the user's; so is what stands behind their last turn."""
    request = asked(("user", NOW), ("assistant", NOW), ("user", "Hello"), ("system", NOW))
    assert not request.lay_last(HOME)
    assert [content for _, content in read(request)] == [NOW, NOW, "Hello", NOW]


def test_a_system_prompt_of_nothing_else_is_left_out():
    """As if there had been none."""
    request = validated({"system": NOW, "prompt": "Hello"})
    assert request.lay_last(HOME)
    assert read(request) == [("user", f"{NOW}\nHello")]


@settings(max_examples=300)
@given(
    lists(sampled_from([NOW, ROOM, "a", "", "- b", "\r", "\u2028", "Current Time: 1"]), max_size=8), text(max_size=9)
)
def test_nothing_is_lost_and_nothing_else_changes(lines: list[str], more: str):
    """What stays, with what was taken out in its place, is the text; without forms it is the text itself."""
    words = "\n".join([*lines, more])
    kept, moved = split(words, HOME.fit)
    assert sorted((kept + "".join(moved)).replace("\n", "").replace("\r", "")) == sorted(
        words.replace("\n", "").replace("\r", "")
    )
    assert all(HOME.fit(line) for line in moved)
    assert not split(kept, HOME.fit)[1]
    assert split(words, Forms([]).fit) == (words, [])


@settings(max_examples=300)
@given(lists(sampled_from("ab*#"), max_size=7), lists(sampled_from("ab7"), max_size=9))
def test_a_form_fits_as_a_regular_expression_would(form: list[str], line: list[str]):
    """Which is what it stands for, without walking back."""
    wanted = re.compile("".join({"*": ".*", "#": r"\d"}.get(each, each) for each in form))
    assert Forms(["".join(form)]).fit("".join(line)) == bool(wanted.fullmatch("".join(line)))


def test_hostile_lines_take_no_time():
    """A payload's worth of lines that nearly fit, a form of many asterisks: each line is walked once."""
    forms = Forms([*OF_HOME_ASSISTANT, "Current" + "*a" * 120 + "*b"])
    few, many = ("Current time is " + "a" * 900 + "\n") * 14, ("Current time is " + "a" * 900 + "\n") * 280
    took = []
    for words in (few, many):
        began = time.process_time()
        assert split(words, forms.fit)[1] == []
        took.append(time.process_time() - began)
    assert took[1] < 200 * took[0] + 0.05


def test_the_field_crosses_as_json():
    """From bytes, as it comes."""
    body = dumps({"messages": [{"role": "system", "content": [marked(NOW)]}, {"role": "user", "content": "Hi"}]})
    assert read(validated(parse_fields(body, False, True))) == [("user", f"{NOW}\nHi")]


def test_the_fields_stay_as_they_were_asked():
    """Another server that answers in the board's place is sent the asker's own prompt, without our field."""
    turns = [("system", f"{NOW}\n{SYSTEM}"), ("user", [IMAGE, marked("It is dark.")]), ("user", "Hello")]
    request = asked(*turns, system=f"{ROOM}\nBe brief.")
    before = request.model_dump()
    assert request.lay_last(HOME)
    assert request.model_dump() == before
    system, own, picture, _ = fields_of(request, "m", 1)["messages"]
    assert (system["content"], own["content"]) == (f"{ROOM}\nBe brief.", f"{NOW}\n{SYSTEM}")
    assert picture["content"] == [IMAGE | {"image_url": IMAGE["image_url"] | {"detail": "auto"}}, plain("It is dark.")]
