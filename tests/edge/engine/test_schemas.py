"""Schemas that are too much, that nothing satisfies, or that cannot be followed to their end: faults, never answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from edge.bundle import read_manifest
from edge.engine import Job, Options, TextEngine, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.engine.text.guidance import Guide, Vocabulary
from edge.errors import BadRequest, EngineFailed, Unsupported
from edge.wire.tools import Tool, schema


@pytest.fixture(scope="module")
def engine(bundle) -> BatchedEngine:
    """The real model, without what would make an answer depend on those before it."""
    return BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False))


def asked(number: int, length: int, **options: object) -> Job:
    """A question."""
    return Job(number, [{"role": "user", "content": "What is the capital of France?"}], length, **options)


def chained(count: int) -> dict[str, Any]:
    """Parts that refer to each other in a row."""
    parts: dict[str, Any] = {f"a{number}": {"$ref": f"#/$defs/a{number + 1}"} for number in range(count)}
    return {"$ref": "#/$defs/a0", "$defs": {**parts, f"a{count}": {"type": "string"}}}


def fields(count: int, **kinds: Any) -> dict[str, Any]:
    """An object of so many properties."""
    return {"type": "object", "properties": {f"p{number}": {"type": "integer"} for number in range(count)}, **kinds}


TOO_MUCH = {
    "characters": {"enum": [f"value number {number}" for number in range(10_000)]},
    "characters in one string": {"const": "x" * 20_000},
    "characters in one string ": {"type": "string", "pattern": "^" + "ab" * 10_000},
    "levels": json.loads('{"items":' * 100 + "{}" + "}" * 100),
    "levels of references": chained(3000),
    "pairs of properties": fields(2000),
    "pairs of properties ": {"type": "object", "required": [f"p{number}" for number in range(5000)]},
    "pairs of properties  ": {
        "type": "object",
        "patternProperties": {f"^{number}_": {"type": "string"} for number in range(300)},
    },
    "remainders of multipleOf": {"type": "integer", "multipleOf": 1_000_003},
    "remainders of multipleOf ": {
        "anyOf": [{"type": "number", "multipleOf": 999.917 + number} for number in range(5)],
    },
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_a_schema_may_ask_is_known_before_it_is_compiled(engine, what):
    """Each took seconds, gigabytes, or the engine's life; each is its asker's fault, told with both figures."""
    with pytest.raises(BadRequest, match=rf"is too much: \d+ {what.strip()}, but \d+ are followed") as raised:
        answer(engine, asked(1, 4, guidance=TOO_MUCH[what]))
    assert raised.value.param == "response_format"


FOLLOWED = {
    "a hundred references": chained(100),
    "five hundred properties": fields(500),
    "a pattern of patterns": {"type": "string", "pattern": "^(a{1,1000}){1,1000}$"},
    "bounds beyond all reason": {"type": "array", "items": {"type": "string", "maxLength": 10**9}, "maxItems": 10**9},
    "a recursion with an end": {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"$ref": "#"}}]},
    "a list of itself": {"type": "object", "properties": {"a": {"$ref": "#"}}, "additionalProperties": False},
    "a multiple": {"type": "integer", "multipleOf": 5000},
    "four thousand values": {"enum": [f"value {number}" for number in range(4000)]},
}


@pytest.mark.parametrize("what", FOLLOWED)
def test_what_is_large_and_can_be_followed_is(engine, what):
    """An answer, or the beginning of one where its length ends it."""
    assert answer(engine, asked(1, 24, guidance=FOLLOWED[what])).finish_reason in ("stop", "length")


def one(kind: object) -> dict[str, Any]:
    """An object of one property."""
    return {"type": "object", "properties": {"a": kind}, "required": ["a"], "additionalProperties": False}


IMPOSSIBLE = {
    "no value": {"enum": []},
    "a property without a value": one({"enum": []}),
    "a property that must not be": one(False),
    "a property that is not known": {**one({}), "required": ["a", "b"]},
    "longer than it may be": {"type": "string", "minLength": 5, "maxLength": 3},
    "no whole number": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4},
    "two types": {"allOf": [{"type": "string"}, {"type": "integer"}]},
    "no such text": {"type": "string", "pattern": "^a$", "minLength": 3},
    "itself": {"$ref": "#"},
    "itself within": one({"$ref": "#"}),
    "one of itself at the least": {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
    "each other": {"$ref": "#/$defs/a", "$defs": {"a": one({"$ref": "#/$defs/b"}), "b": one({"$ref": "#/$defs/a"})}},
    "not": {"not": {"type": "string"}},
    "what is not known": {"type": "object", "dependentRequired": {"a": ["b"]}},
    "a pattern that is none": {"type": "string", "pattern": "("},
    "a form that is none": {"type": "string", "format": "nonsense"},
}


@pytest.fixture(scope="module")
def engines(bundle, engine) -> dict[str, TextEngine]:
    """Both."""
    return {"batched": engine, "genai": GenaiEngine(bundle, Options())}


@pytest.mark.parametrize("kind", ["batched", "genai"])
@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_schema_that_nothing_satisfies_is_its_askers_fault(engines, kind, what):
    """400 before a token is made, by either engine, with the field that it came from."""
    for may_be_text, param in ((False, "response_format"), (True, "tools")):
        text: list[str] = []
        with pytest.raises(BadRequest) as raised:
            answer(engines[kind], asked(1, 4, guidance=IMPOSSIBLE[what], may_be_text=may_be_text), text.append)
        assert (raised.value.param, text) == (param, [])
        assert "\n" not in raised.value.message


def test_a_tool_that_must_be_called_is_the_field_tools(engine):
    """Its parameters are a schema in a schema."""
    tool = Tool.model_validate({"type": "function", "function": {"name": "look", "parameters": {"not": {}}}})
    with pytest.raises(BadRequest) as raised:
        answer(engine, asked(1, 4, guidance=schema([tool])))
    assert raised.value.param == "tools"


EXHAUSTING = {"allOf": [{"type": "string", "pattern": letter} for letter in "abcdefgh"]}
"""Compiles at once, and has more states than can be followed after its first letters."""


@pytest.mark.parametrize("kind", ["batched", "genai"])
def test_a_grammar_that_gives_up_ends_its_answer_with_a_fault(engines, kind):
    """500 with its reason, in the middle; nobody is told that what there was is all."""
    text: list[str] = []
    with pytest.raises(EngineFailed, match="lexer error"):
        answer(engines[kind], asked(1, 40, guidance=EXHAUSTING), text.append)
    assert "".join(text).startswith('"')
    assert answer(engines[kind], asked(2, 3)).finish_reason == "length"


def test_a_grammar_that_gives_up_ends_nobody_elses_answer(engine):
    """Nor does it change what they say."""
    wanted: list[str] = []
    answer(engine, asked(2, 20, guidance={"type": "object"}), wanted.append)
    engine.submit(asked(1, 40, guidance=EXHAUSTING))
    engine.submit(asked(2, 20, guidance={"type": "object"}))
    said: dict[int, list[Any]] = {1: [], 2: []}
    while not engine.is_idle:
        for event in engine.step():
            said[event.job_id].append(event.what)
    assert isinstance(said[1][-1], EngineFailed)
    assert "".join(each for each in said[2] if isinstance(each, str)) == "".join(wanted)


def test_nothing_that_may_come_is_no_end(bundle):
    """A matcher without a token to go on with and without an end: a fault, whoever made it so."""
    matcher = LLMatcher(
        LLTokenizer(str(bundle / "tokenizer.json"), 49152, [2]), LLMatcher.grammar_from_regex("ab"), log_level=0
    )
    guide = Guide(matcher, 49152)
    assert guide.allowed().any()
    with pytest.raises(EngineFailed):
        guide.take(5)  # a token that was not allowed


def test_a_length_ends_open_json_as_ever(engines):
    """`length`, not a fault."""
    for each in engines.values():
        assert answer(each, asked(1, 4, guidance={"type": "string", "minLength": 100})).finish_reason == "length"


def test_ends_beyond_the_vocabulary(bundle):
    """Some among others never come and are left out; where there are no others, a request with a schema is refused."""
    size = read_manifest(bundle).vocab_size
    guide = Vocabulary(bundle, size, [2, size, size + 9, -1]).guide({"type": "integer"}, may_be_text=False)
    assert guide.allowed().any()
    for ids in ([size], [-1], [1 << 40]):
        with pytest.raises(Unsupported, match="no schema can be followed"):
            Vocabulary(bundle, size, ids)


def test_an_engine_goes_on_past_a_schema_that_its_bundle_cannot_follow(bundle, tmp_path):
    """The request is refused, the next one is answered."""
    copy = tmp_path / "bundle"
    copy.mkdir()
    for file in bundle.iterdir():
        if file.name != "manifest.json":
            (copy / file.name).symlink_to(file)
    manifest = json.loads((bundle / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"stop_token_ids": [manifest["vocab_size"]]}))
    made = BatchedEngine(copy, Options(prefix_bytes=0, drafts=False))
    with pytest.raises(Unsupported, match="export it anew"):
        answer(made, asked(1, 4, guidance={"type": "integer"}))
    assert answer(made, asked(2, 2)).completion_tokens == 2
