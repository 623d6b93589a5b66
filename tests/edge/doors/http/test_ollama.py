"""Ollama's API, asked by its own client, by Home Assistant's calls, by Frigate's, and by curl."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import ollama
import pytest

from edge.doors.http import schemas
from edge.doors.http.asking import Waits
from edge.doors.http.ollama_asked import chat
from edge.doors.http.ollama_told import Lines
from edge.testing.inside import MemoryInside
from tests.conftest import wait_until
from tests.edge.doors.http import doors
from tests.edge.doors.http.bodies import ABOUT, ANSWER, CALL, DELTAS, REPLY, WORDS_AND_CALL, fault

Place = tuple[str, MemoryInside]
HELLO = [{"role": "user", "content": "Hello"}]
JPEG = b"\xff\xd8\xff\xe0 and so on"


def asks(door: Place, told: list[dict[str, Any]]) -> ollama.Client:
    """A client of a door at which this will be told."""
    door[1].told = told
    return ollama.Client(door[0])


def has(fields: Mapping[str, Any], some: dict[str, Any]) -> bool:
    """Whether they are among the fields."""
    return {**fields, **some} == fields


def add_two_numbers(a: int, b: int) -> int:
    """Add two numbers.

    Args:
      a: The first
      b: The second

    """
    return a + b


# --- asking ---


def test_a_chat_in_one(door):
    """The message, why it ended, and Ollama's figures, in nanoseconds."""
    answer = asks(door, ANSWER).chat("scripted", HELLO, options={"temperature": 0.5, "num_predict": 9})
    assert (answer.message.role, answer.message.content, answer.message.tool_calls) == (
        "assistant",
        "Hello world",
        None,
    )
    assert (answer.model, answer.done, answer.done_reason) == ("scripted", True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (37, 12)
    assert (answer.load_duration, answer.prompt_eval_duration, answer.eval_duration) == (500e6, 100e6, 200e6)
    assert answer.total_duration > 0
    fields = door[1].asked[-1].fields
    assert has(fields, {"temperature": 0.5, "max_tokens": 9, "stream": False, "model": "scripted"})


def test_a_chat_as_a_stream(door):
    """A line a piece, and the figures in the last, which has no words."""
    parts = list(asks(door, ANSWER).chat("scripted:latest", HELLO, stream=True))
    assert [part.message.content for part in parts] == ["Hello", " world", ""]
    assert [part.done for part in parts] == [False, False, True]
    assert (parts[-1].done_reason, parts[-1].eval_count, parts[0].eval_count) == ("stop", 12, None)
    assert (parts[0].model, door[1].asked[-1].fields["model"]) == ("scripted:latest", "scripted")


def test_a_prompt_both_ways(door):
    """`response` has the text there."""
    client = asks(door, ANSWER)
    answer = client.generate("scripted", "Hello", system="Be brief.", keep_alive="5m")
    assert (answer.response, answer.done, answer.eval_count, answer.context) == ("Hello world", True, 12, None)
    assert has(door[1].asked[-1].fields, {"prompt": "Hello", "system": "Be brief."})
    assert [part.response for part in client.generate("scripted", "Hello", stream=True)] == ["Hello", " world", ""]


def test_functions_of_python_are_called_and_answered(door):
    """Offered by themselves, the call's arguments an object, its result a turn: the client's own example."""
    client = asks(door, CALL)
    answer = client.chat("scripted", HELLO, tools=[add_two_numbers])
    (call,) = answer.message.tool_calls
    assert (call.function.name, add_two_numbers(**call.function.arguments), answer.message.content) == (
        "add_two_numbers",
        7,
        "",
    )
    (tool,) = door[1].asked[-1].fields["tools"]
    assert tool["function"]["parameters"]["required"] == ["a", "b"]
    door[1].told = ANSWER
    turns = [*HELLO, answer.message, {"role": "tool", "tool_name": call.function.name, "content": "7"}]
    assert client.chat("scripted", turns, tools=[add_two_numbers]).message.content == "Hello world"
    _, called, result = door[1].asked[-1].fields["messages"]
    assert called["tool_calls"][0]["function"] == {"name": "add_two_numbers", "arguments": {"a": 3, "b": 4}}
    assert (result["name"], result["content"]) == ("add_two_numbers", "7")


def test_a_call_in_a_stream_comes_whole(door):
    """No piece of it is text."""
    parts = list(asks(door, CALL).chat("scripted", HELLO, tools=[add_two_numbers], stream=True))
    assert [(part.message.content, bool(part.message.tool_calls)) for part in parts] == [("", True), ("", False)]
    assert [part.done for part in parts] == [False, True]


def test_words_beside_a_call_are_told(door):
    """As a server behind the board may say some; arguments that are no object are told as they are."""
    client = asks(door, WORDS_AND_CALL)
    answer = client.chat("scripted", HELLO, tools=[add_two_numbers]).message
    assert (answer.content, answer.tool_calls[0].function.arguments) == ("Hello world", {"a": 3, "b": 4})
    parts = list(client.chat("scripted", HELLO, tools=[add_two_numbers], stream=True))
    assert "".join(part.message.content or "" for part in parts) == "Hello world"
    assert [bool(part.message.tool_calls) for part in parts] == [False, False, True, False]
    function = {"name": "add_two_numbers", "arguments": '{"a": 3'}
    call = {"id": "call-7", "type": "function", "function": function}
    client = asks(door, [{**CALL[-1], "text": "", "tool_calls": [call]}])
    (found,) = client.chat("scripted", HELLO, tools=[add_two_numbers]).message.tool_calls
    assert found.function.arguments == {"arguments": '{"a": 3'}


def test_text_that_only_looks_like_a_call_is_told(door):
    """An answer by a schema beside tools, or one that was cut off."""
    text = {"type": "delta", "id": "q1", "index": 0, "text": '{"age"'}
    told = [text, {**REPLY, "text": '{"age"', "finish_reason": "length"}]
    parts = list(asks(door, told).chat("scripted", HELLO, tools=[add_two_numbers], stream=True))
    assert ("".join(part.message.content or "" for part in parts), parts[-1].done_reason) == ('{"age"', "length")
    asks(door, told)
    assert [part.message.content for part in ollama.Client(door[0]).chat("scripted", HELLO, stream=True)] == [
        '{"age"',
        "",
    ]


def test_formats_and_pictures(door):
    """A schema of pydantic's, and bytes of a picture, as the client sends them."""
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    asks(door, ANSWER).chat("scripted", [{**HELLO[0], "images": [JPEG]}], format=schema)
    fields = door[1].asked[-1].fields
    assert fields["response_format"]["json_schema"]["schema"] == schema
    picture, text = fields["messages"][0]["content"]
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/")
    assert text["text"] == "Hello"


def test_logprobs(door):
    """Each token's, in Ollama's place for them."""
    token = {"token": "Hi", "logprob": -0.5, "top_logprobs": [{"token": "Yo", "logprob": -1.5}]}
    told = [{**REPLY, "text": "Hi", "logprobs": {"content": [token]}}]
    answer = asks(door, told).chat("scripted", HELLO, logprobs=True, top_logprobs=1)
    (found,) = answer.logprobs
    assert (found.token, found.logprob, found.top_logprobs[0].token) == ("Hi", -0.5, "Yo")
    assert has(door[1].asked[-1].fields, {"logprobs": True, "top_logprobs": 1})


def test_what_ollama_has_no_word_for_is_beside_it(door):
    """What was ignored, by the door and by the wire, and the board's own figures."""
    door[1].told = [{**REPLY, "warnings": ["the field 'foo' is not known and was ignored"], "slowed": {"duty": 0.5}}]
    body = {"model": "scripted", "messages": HELLO, "stream": False, "options": {"mirostat": 2}, "foo": 1}
    answer = curl(door[0], "/api/chat", body)
    assert answer["edge"]["warnings"] == [
        "options.mirostat was ignored",
        "the field 'foo' is not known and was ignored",
    ]
    assert answer["edge"]["slowed"] == {"duty": 0.5}
    assert "energy" in answer["edge"]
    assert door[1].asked[-1].fields["foo"] == 1


@pytest.mark.parametrize(("keep_alive", "reason"), [(None, "load"), ("5m", "load"), (0, "unload")])
def test_who_asks_nothing_is_answered_and_nothing_happens(door, keep_alive, reason):
    """So that programs which load a model beforehand go on."""
    before = len(door[1].asked)
    client = ollama.Client(door[0])
    for answer in (client.generate("scripted", keep_alive=keep_alive), client.chat("scripted", keep_alive=keep_alive)):
        assert (answer.done, answer.done_reason) == (True, reason)
    assert len(door[1].asked) == before
    with pytest.raises(ollama.ResponseError, match="not found"):
        client.generate("another")


# --- what is wrong ---


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "status", "says"),
    [
        (fault(404, "the model 'x' is not served here", "model"), 404, "the model 'x'"),
        (fault(400, "repetition_penalty is wrong", "repetition_penalty"), 400, "options.repeat_penalty is wrong"),
        (fault(429, "8 requests of this client wait already", None, 6), 429, "8 requests"),
        (fault(503, "the queue is full", None, 20), 503, "full"),
        (fault(415, "no pictures here"), 400, "pictures"),
        (fault(500, "the engine failed"), 500, "engine"),
    ],
)
def test_faults_are_ollamas_errors(door, reply, status, says, stream):
    """A text and a status, streamed or not, where nothing has been told yet."""
    with pytest.raises(ollama.ResponseError, match=says) as caught:
        list(asks(door, [reply]).chat("scripted", HELLO, stream=stream))
    assert caught.value.status_code == status


def test_a_fault_in_the_middle_of_a_stream_is_its_last_line(door):
    """The client raises it."""
    parts = asks(door, [*DELTAS, fault(500, "the engine failed")]).chat("scripted", HELLO, stream=True)
    assert next(parts).message.content == "Hello"
    with pytest.raises(ollama.ResponseError, match="the engine failed"):
        list(parts)


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/api/chat", {"messages": HELLO}, "model is required"),
        ("/api/chat", {"model": "scripted", "messages": HELLO, "think": "high"}, "does not support thinking"),
        ("/api/generate", {"model": "scripted", "prompt": "x", "raw": True}, "raw"),
        ("/api/generate", {"model": "scripted", "prompt": "x", "suffix": "}"}, "does not support insert"),
        ("/api/chat", {"model": "scripted", "messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ("/api/chat", {"model": "scripted", "options": {"num_predict": 5.5}}, "options.num_predict"),
        ("/api/chat", "[]", "object"),
        ("/api/chat", "", "JSON"),
        ("/api/show", {}, "model is required"),
        ("/api/show", {"model": "another"}, "not found"),
        ("/api/nothing", {}, "no such path"),
    ],
)
def test_errors_are_texts(door, path, body, says):
    """Whoever finds them."""
    assert says in curl(door[0], path, body)["error"]


# --- the model ---


def test_the_model_is_listed_shown_and_loaded(door):
    """As the client reads it."""
    client = ollama.Client(door[0])
    (listed,) = client.list().models
    (loaded,) = client.ps().models
    assert (listed.model, loaded.name, listed.details.family) == ("scripted:latest", "scripted:latest", "llama")
    assert (len(listed.digest), loaded.context_length) == (64, 2048)
    assert loaded.expires_at > listed.modified_at
    shown = client.show("scripted")
    assert shown.capabilities == ["completion", "tools"]
    assert shown.modelinfo["llama.context_length"] == 2048
    door[1].state = {"accepts": False, "reason": "loading"}
    assert client.ps().models == []
    door[1].state = {"accepts": True, "reason": None}


def test_a_model_that_sees(door):
    """Frigate and others look for that."""
    door[1].about["capabilities"] = ["text", "vision"]
    assert ollama.Client(door[0]).show("scripted:latest").capabilities == ["completion", "vision"]
    door[1].about["capabilities"] = ["text", "json_schema"]


def test_a_model_that_makes_vectors_beside(door):
    """Listed, shown as what it is, and there when it is pulled."""
    door[1].about["embeddings"] = {"model": "all-MiniLM-L6-v2", "dimensions": 384, "tokens_max": 256}
    client = ollama.Client(door[0])
    assert [each.model for each in client.list().models] == ["scripted:latest", "all-MiniLM-L6-v2:latest"]
    shown = client.show("all-MiniLM-L6-v2")
    assert (shown.capabilities, shown.modelinfo["embedding.embedding_length"]) == (["embedding"], 384)
    assert client.pull("all-MiniLM-L6-v2:latest").status == "success"
    assert client.show("scripted").capabilities == ["completion", "tools"]
    del door[1].about["embeddings"]


def test_models_are_not_changed_from_here(door):
    """What is there already is pulled at once; all else is refused, and the reason says where models come from."""
    client = ollama.Client(door[0])
    assert client.pull("scripted").status == "success"
    for change in (
        lambda: client.pull("llama3.2"),
        lambda: client.push("scripted"),
        lambda: client.create("mine", from_="scripted"),
        lambda: client.copy("scripted", "mine"),
        lambda: client.delete("scripted"),
        lambda: curl(door[0], "/api/blobs/sha256:0", {}, raises=True),
    ):
        with pytest.raises(ollama.ResponseError, match="bundles"):
            change()


def test_names_that_the_operator_has_given_it():
    """Listed, shown and answered, with the tag that they have; `:latest` is as good as none."""
    inside = MemoryInside(ANSWER)
    inside.about = dict(ABOUT)
    with doors.door(inside, aliases=["llama3.2:3b", "qwen3", "phi:latest"]) as place:
        client = ollama.Client(place)
        names = ["scripted:latest", "llama3.2:3b", "qwen3:latest", "phi:latest"]
        assert [each.model for each in client.list().models] == names
        for name in [*names, "scripted", "qwen3", "phi"]:
            assert client.show(name).capabilities == ["completion", "tools"]
            assert client.chat(name, HELLO).model == name
        assert {asked.fields.get("model", "scripted") for asked in inside.asked} == {"scripted"}
        for name in ("llama3.2", "scripted:3b"):
            with pytest.raises(ollama.ResponseError, match="not found"):
                client.show(name)


def test_a_token_is_the_api_key(monkeypatch):
    """As Home Assistant sends it, and as the client takes it from its surroundings; without one, 401 and a text."""
    inside, token = MemoryInside(ANSWER), "0123456789abcdef0123456789abcdef"
    inside.about = dict(ABOUT)
    with doors.door(inside, tokens=f"assist {token}") as place:
        with pytest.raises(ollama.ResponseError, match="token") as caught:
            ollama.Client(place).list()
        assert caught.value.status_code == 401
        ollama.Client(place, headers={"Authorization": f"Bearer {token}"}).chat("scripted", HELLO)
        monkeypatch.setenv("OLLAMA_API_KEY", token)
        assert ollama.Client(place).chat("scripted", HELLO).done
        assert [asked.client for asked in inside.asked] == ["http:assist"] * 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_signs_of_life(door, method):
    """What programs look for before they ask."""
    command = ["curl", "-sS", "-o", "-", *(["-I"] if method == "HEAD" else []), f"{door[0]}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    assert "200 OK" in said if method == "HEAD" else said == "Ollama is running"
    version = curl(door[0], "/api/version", None)
    assert [int(each) for each in version["version"].split(".")] >= [0, 12, 11]
    assert version["edge"] == "0.1.0"


# --- other programs ---


def curl(place: str, path: str, body: Any, raises: bool = False) -> dict[str, Any]:
    """What curl is told, with the content type that it gives by itself."""
    text = body if isinstance(body, str) else json.dumps(body)
    command = ["curl", "-sS", *([] if body is None else ["-d", text]), place + path]
    answer = subprocess.run(command, capture_output=True, check=True, timeout=20)
    told = json.loads(answer.stdout)
    if raises and "error" in told:
        raise ollama.ResponseError(told["error"])
    assert isinstance(told, dict)
    return told


async def _deltas(result: AsyncIterator[ollama.ChatResponse]) -> list[dict[str, Any]]:
    """A stream as Home Assistant's conversation takes it: text, calls, the role in the first."""
    found: list[dict[str, Any]] = []
    async for response in result:
        message = response["message"]
        chunk: dict[str, Any] = {} if found else {"role": "assistant"}
        if (calls := message.get("tool_calls")) is not None:
            chunk["calls"] = [(call["function"]["name"], call["function"]["arguments"]) for call in calls]
        if (content := message.get("content")) is not None:
            chunk["content"] = content
        found.append(chunk)
    return found


def test_home_assistants_calls(door):
    """Its Ollama integration's, of 2026.11: the list at the start, then streams with tools and their results."""
    turn = {"type": "object", "properties": {"name": {"type": "string"}}, "required": []}
    tool = {"type": "function", "function": {"name": "HassTurnOn", "parameters": turn, "description": "Turn on"}}

    async def assist() -> list[dict[str, Any]]:
        client = ollama.AsyncClient(host=door[0], headers={"Authorization": "Bearer none"})
        models = {each["model"] for each in (await client.list()).get("models", [])}
        history = [
            ollama.Message(role="system", content="You are a voice assistant."),
            ollama.Message(role="user", content="Turn the light on.", images=None),
        ]
        options: dict[str, Any] = {"num_ctx": 8192}
        fixed: dict[str, Any] = {
            "model": models.pop(),
            "tools": [tool],
            "keep_alive": -1,
            "think": False,
            "format": None,
        }
        found = await _deltas(await client.chat(messages=list(history), stream=True, options=options, **fixed))
        door[1].told = ANSWER
        call = ollama.Message.ToolCall.Function(name="HassTurnOn", arguments={"name": "light"})
        history += [
            ollama.Message(role="assistant", content="", tool_calls=[ollama.Message.ToolCall(function=call)]),
            ollama.Message(role="tool", content='{"data": {}, "error": null}'),
        ]
        return found + await _deltas(await client.chat(messages=list(history), stream=True, options=options, **fixed))

    asks(door, CALL)
    chunks = asyncio.run(asyncio.wait_for(assist(), 20))
    assert [chunk["calls"] for chunk in chunks if "calls" in chunk] == [[("add_two_numbers", {"a": 3, "b": 4})]]
    assert "".join(chunk["content"] for chunk in chunks) == "Hello world"
    assert door[1].asked[-1].fields["messages"][-1]["name"] == "HassTurnOn"


def test_frigates_calls(door):
    """Its description of a clip: pictures where the text says, a schema, its options; and its probe of one token."""
    client = asks(door, ANSWER)
    assert not client.show("scripted").get("error")
    content = "Before:\n[img]\nAfter:\n[img]\nWhat happened?"
    message = {"role": "user", "content": content, "images": [JPEG, JPEG]}
    options = {"temperature": 0.5, "repeat_penalty": 1.05, "presence_penalty": 0.3}
    answer = client.chat(model="scripted", messages=[message], options=options, format={"type": "object"})
    assert answer.get("message").get("content") == "Hello world"
    parts = door[1].asked[-1].fields["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "text", "image_url", "text"]
    probe = client.chat(model="scripted", messages=[{"role": "user", "content": "."}], options={"num_predict": 1})
    assert probe.get("prompt_eval_count") == 37


# --- the daemon ---


def test_a_daemon_answers(board):
    """Without a broker: in one, as a stream, several at once; what is wrong is its own word."""
    client = ollama.Client(board)
    assert client.chat("scripted", HELLO).message.content == "word word "
    parts = list(client.generate("scripted", "Hello", stream=True))
    assert "".join(part.response or "" for part in parts) == "word word "
    with pytest.raises(ollama.ResponseError, match=r"options\.temperature") as caught:
        client.chat("scripted", HELLO, options={"temperature": 9})
    assert caught.value.status_code == 400
    with pytest.raises(ollama.ResponseError) as caught:
        client.chat("another", HELLO, stream=False)
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="picture") as caught:
        client.generate("scripted", "What is it?", images=[JPEG])
    assert caught.value.status_code == 400

    async def several() -> list[str | None]:
        asker = ollama.AsyncClient(board)
        answers = await asyncio.gather(*(asker.chat("scripted", HELLO) for _ in range(4)))
        return [answer.message.content for answer in answers]

    assert asyncio.run(several()) == ["word word "] * 4


def test_who_leaves_ends_the_answer(tmp_path):
    """A reader of a stream that closes it, and the next is answered."""
    with doors.board(tmp_path, pieces=2000, pause=0.01) as made:
        parts = ollama.Client(made.address).chat("scripted", HELLO, stream=True)
        assert next(parts).message.content == "word "
        parts.close()
        wait_until(lambda: not made.load()["running"])


def test_one_that_waits_has_a_sign_of_life():
    """A piece without words, so that nothing on the way gives it up."""
    lines = Lines("chat", chat({"model": "scripted", "messages": HELLO}, ABOUT))
    (told,) = [json.loads(line) for line in lines.waits(Waits(2, 5.0))]
    assert (told["message"]["content"], told["done"]) == ("", False)


@pytest.mark.slow
def test_a_real_model_answers(model):
    """Greedy text, an answer by a schema, and a call whose arguments match the function's parameters."""
    client = ollama.Client(model)
    name = client.list().models[0].model
    answer = client.chat(name, [{"role": "user", "content": "What is the capital of France?"}])
    assert answer.eval_count > 0
    assert answer.done_reason in ("stop", "length")
    options = {"num_predict": 40, "temperature": 0}
    streamed = list(client.chat(name, HELLO, stream=True, options=options))
    whole = client.chat(name, HELLO, options=options).message.content
    assert "".join(part.message.content or "" for part in streamed) == whole
    schema = {
        "type": "object",
        "properties": {"age": {"enum": [1, 2]}},
        "required": ["age"],
        "additionalProperties": False,
    }
    said = client.generate(name, "How old is it?", format=schema, options={"num_predict": 60})
    assert json.loads(said.response)["age"] in (1, 2)


@pytest.mark.slow
def test_a_real_model_calls_a_function(model):
    """With the wire's own `tool_choice` beside Ollama's fields, it must."""
    body = {"model": ollama.Client(model).list().models[0].model, "messages": HELLO, "stream": False}
    city = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "description": "", "parameters": city}}
    answer = curl(model, "/api/chat", {**body, "tools": [tool], "tool_choice": "required"})
    (call,) = answer["message"]["tool_calls"]
    assert (call["function"]["name"], answer["message"]["content"]) == ("weather", "")
    assert call["function"]["arguments"].keys() == {"city"}


def test_curl_reads_a_stream_line_by_line(board):
    """The example of every introduction, with curl's own content type."""
    assert shutil.which("curl")
    text = json.dumps({"model": "scripted", "messages": HELLO})
    answer = subprocess.run(
        ["curl", "-sS", "-i", f"{board}/api/chat", "-d", text], capture_output=True, text=True, check=True, timeout=20
    )
    head, _, lines = answer.stdout.partition("\n\n")
    assert "application/x-ndjson" in head
    told = [json.loads(line) for line in lines.splitlines()]
    assert [each["done"] for each in told] == [False, False, True]


@pytest.mark.slow
def test_schemathesis_finds_nothing_where_the_model_is_there(tmp_path):
    """Ollama's paths and /v1/responses as the document has them, asked for the model that is served."""
    pytest.importorskip("schemathesis")
    limits = {"EDGE_LIMITS__QUEUE_LENGTH": "100", "EDGE_LIMITS__QUEUE_PER_CLIENT": "100"}
    with doors.board(tmp_path, pieces=1, **limits) as made:
        said = httpx.get(f"{made.address}/openapi.json").json()
        for path in schemas.TAKES:
            body = said["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
            name = "scripted-vectors" if path.startswith("/api/embed") else "scripted"
            body["properties"]["model"] = {"enum": [name, None] if path == "/v1/responses" else [name]}
        (tmp_path / "openapi.json").write_text(json.dumps(said))
        (tmp_path / "schemathesis.toml").write_text(doors.LARGE)
        program = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", f"--url={made.address}"]
        options = ["--max-examples=60", "--seed=1", "--checks=all", "--generation-allow-x00=false", "--no-color"]
        paths = ["--include-path-regex=^/api/|^/$|/v1/responses"]
        done = subprocess.run([*program, *options, *paths], capture_output=True, text=True, timeout=280, cwd=tmp_path)
        (tmp_path / "schemathesis.log").write_text(done.stdout)
        assert done.returncode == 0, done.stdout[-6000:]
        assert "Traceback" not in made.log.read_text()
