"""Task questions: the same everywhere, read strictly, told from logits, counted in the report and held to a limit."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import open_bundle
from export.command import run
from export.errors import FidelityError
from export.plan import make_plan
from export.recipe import ASKED, Limits, Recipe, recipes
from export.source import open_source
from export.tasks.checking import is_right, is_same
from export.tasks.given import END, RIGHT, Given, given
from export.tasks.questions import OF_A_KIND, QUESTIONS_MAX, Question, kinds, questions
from export.tasks.tally import ALL, Count, figures, table, tally
from export.tasks.texts import Place, conversations
from export.verify import check_limits
from tests.export import small_model

TURNS = "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }}{% if m.role == 'assistant' %}!{% endif %}{% endfor %}"
TEMPLATE = TURNS + "{% if add_generation_prompt %}<a>{% endif %}"
COUNT = "24"


def letters(text: str) -> list[int]:
    """A token a character."""
    return [ord(letter) for letter in text]


def one(check: str) -> Question:
    """The first question of a form."""
    return next(each for each in questions(QUESTIONS_MAX) if each.part.check == check)


# --- the questions ---


def test_they_are_the_same_on_every_machine():
    """Every Python draws the same ones; with other material, reports made before cannot be compared with later ones."""
    told = json.dumps([[each.kind, each.prompt, each.answer] for each in questions(QUESTIONS_MAX)])
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "13c3d0ae87bc56e9"


def test_there_are_enough_of_each_kind_and_none_twice():
    """Fewer are the beginning of more, kinds by turns."""
    asked = questions(QUESTIONS_MAX)
    assert len(asked) == QUESTIONS_MAX >= 300
    assert Counter(each.kind for each in asked) == dict.fromkeys(kinds(), OF_A_KIND)
    assert len({each.prompt for each in asked}) == len(asked)
    assert {each.language for each in asked} == {"en", "de", "fr", "es", "ja"}
    assert questions(17) == asked[:17]
    assert set(Counter(each.kind for each in questions(ASKED)).values()) == {ASKED // len(kinds())}


def test_each_is_answered_by_its_own_answer_and_no_slot_is_left():
    """By the checker of its form; a word of an answer stands in its text, and labels are about equally frequent."""
    labels: dict[tuple[str, tuple[str, ...]], Counter[str]] = {}
    for each in questions(QUESTIONS_MAX):
        assert is_right(each, each.answer), each
        assert "$" not in each.prompt + each.answer
        if each.part.check == "word":
            assert each.answer in each.prompt
        if each.part.labels:
            labels.setdefault((each.kind, each.part.labels), Counter())[each.answer] += 1
    for (kind, known), counts in labels.items():
        assert set(counts) == set(known), kind
        assert min(counts.values()) * len(known) > 0.7 * counts.total(), kind
    for kind in kinds().values():
        for part in kind.parts:
            assert all(is_right(Question("", "", part, *pair), pair.answer) for pair in part.examples)


def test_every_recipe_asks_them():
    """A shipped one that does not say asks the usual number; a recipe that somebody makes in code asks none."""
    assert {recipe.task_questions for recipe in recipes().values()} == {ASKED}
    assert Recipe(licence="none").task_questions == 0


# --- answers that were generated ---


@pytest.mark.parametrize(
    ("check", "answer", "right", "wrong"),
    [
        (
            "number",
            "36",
            ("36", " 36\n", "36.", "36.0", "+36"),
            ("63", "36 lamps", "It is 36", "3 6", "", "0x24", "۳۶"),
        ),
        (
            "object",
            '{"room": "hall", "value": 3}',
            ('{"value":3,"room":"hall"}', ' {"room": "hall", "value": 3}\n'),
            (
                '{"room": "hall", "value": "3"}',
                '{"room": "hall", "value": 3} ok',
                '{"room": "hall"}',
                "[3]",
                "NaN",
                "{",
            ),
        ),
        ("object", '{"a": 1}', ('{"a": 1}',), ('{"a": 2, "a": 1}', '{"a": NaN}', "[" * 100_000)),
        ("label", "no", ("no", "No.", "NO"), ("yes", "no way", "none", "")),
        ("word", "Köln", ("Köln", "köln.", "Köln。"), ("in Köln", "Koeln", "", ".")),
    ],
)
def test_only_the_whole_answer_and_nothing_else_is_right(check, answer, right, wrong):
    """Case, a full stop and spaces around it aside."""
    question = replace(one(check), answer=answer)
    if check == "label":
        question = replace(question, part=next(each.part for each in questions(99) if "no" in each.part.labels))
    assert [text for text in right if not is_right(question, text)] == []
    assert [text for text in wrong if is_right(question, text)] == []


def test_two_answers_are_one_where_they_mean_one():
    """What is no answer of the form is compared by its letters."""
    number = one("number")
    assert is_same(number, "7", " 7.0")
    assert not is_same(number, "7", "8")
    assert is_same(number, "seven", "seven ")
    assert not is_same(number, "seven", "7")


# --- as a model reads them ---


def test_a_conversation_holds_many_and_says_where_each_answer_is():
    """The answer's tokens stand at its place, behind a prompt that ends where the assistant begins."""
    asked = questions(80)
    talks = conversations(asked, TEMPLATE, letters, 4096)
    places = [place for talk in talks for place in talk.places]
    assert len(places) == len(asked)
    assert len(talks) < len(asked) / 2
    for talk in talks:
        assert len(talk.ids) <= 1024
        for place in talk.places:
            answer = place.question.answer
            assert "".join(map(chr, talk.ids[place.rows.start + 1 : place.rows.stop])) == answer
            assert "".join(map(chr, talk.ids[: place.start])).endswith(f"{place.question.prompt}<a>")
            assert len(place.labels) == len(place.question.part.labels)


def test_a_template_that_tells_the_past_otherwise_gets_a_conversation_for_each():
    """As those do that leave out what a model thought: what is chained must be what a board would send."""
    counted = "{{ messages | length }}" + TEMPLATE
    talks = conversations(questions(40), counted, letters, 4096)
    assert [len(talk.places) for talk in talks] == [1] * 40


def test_what_cannot_be_asked_is_left_out():
    """A template that refuses, a context that is too short, a tokenizer without the letters of an answer."""
    asked = questions(40)
    assert conversations(asked, "{{ raise_exception('no') }}", letters, 4096) == []
    assert conversations(asked, TEMPLATE, letters, 64) == []
    plain = conversations(asked, TEMPLATE, lambda text: [ord(each) for each in text if ord(each) < 127], 4096)
    left = {place.question for talk in plain for place in talk.places}
    assert {each.kind for each in set(asked) - left} == {"japanese"}
    assert all(place.answer for talk in plain for place in talk.places)


# --- told from logits ---


def placed(answer: list[int], *labels: list[int]) -> Place:
    """An answer of some tokens."""
    return Place(one("number"), 5, tuple(answer), tuple(map(tuple, labels)))


def logits(*likeliest: int, others: dict[int, float] | None = None) -> np.ndarray:
    """Rows of ten tokens, one of them two nats ahead in each."""
    rows = np.zeros((len(likeliest), 10), np.float32)
    for token, value in (others or {}).items():
        rows[:, token] = value
    rows[np.arange(len(likeliest)), likeliest] = 2
    return rows


def test_an_answer_is_right_where_each_token_is_the_likeliest_and_it_ends():
    """Else it is told by where it leaves the right one, and by which token."""
    place, stops = placed([3, 4]), [0]
    assert place.rows == range(4, 7)
    assert given(place, logits(3, 4, 0), stops) == Given(2, RIGHT, 2)
    assert given(place, logits(3, 5, 0), stops) == Given(1, 5, 2)
    assert given(place, logits(3, 0, 0), stops) == Given(1, END, 2)
    assert given(place, logits(3, 4, 7), stops) == Given(2, 7, 2)
    assert given(place, logits(3, 4, 0, others={1: 1.5}), stops).is_sure is False


def test_of_labels_the_likelier_one_counts_whatever_is_likelier_still():
    """At each token where they part; what comes behind a label is not looked at."""
    place = placed([3, 4], [3, 4], [3, 6], [8])
    found = given(place, logits(9, 9, 9, others={3: 1, 4: 1}), [0])
    assert (found.at, found.is_right, found.is_sure) == (2, True, True)
    assert given(place, logits(9, 9, 9, others={8: 1}), [0]) == Given(0, 8, 1)
    assert given(place, logits(9, 9, 9, others={3: 1, 6: 0.5}), [0]) == Given(1, 6, 0.5)


def test_answers_are_counted_by_kind_and_in_all():
    """Kept where both answers are one, right or wrong; who is never sure loses nothing that it was sure of."""
    asked = [replace(each, kind=kind) for each, kind in zip(questions(4), "abab", strict=True)]
    source = [Given(2, RIGHT, 3), Given(0, 5, 0.1), Given(1, 7, 2), Given(2, RIGHT, 0.1)]
    bundle = [Given(2, RIGHT, 1), Given(0, 5, 0.3), Given(2, RIGHT, 2), Given(0, 4, 0.2)]
    counts = tally(asked, source, bundle)
    assert list(counts) == ["a", "b", ALL]
    assert counts["a"] == Count(2, kept=1, sure=2, sure_kept=1, right=2, right_source=1, right_both=1)
    assert counts[ALL] == Count(4, kept=2, sure=2, sure_kept=1, right=2, right_source=2, right_both=1)
    assert figures(counts) == {
        "tasks_questions": 4,
        "tasks_kept": 0.5,
        "tasks_kept_sure": 0.5,
        "tasks_right": 0.5,
        "tasks_right_source": 0.5,
    }
    assert figures(tally(asked[1:2], source[1:2], bundle[1:2]))["tasks_kept_sure"] == 1
    assert "| b | 2 | 1/2 = 50.0% | – | 0/2 = 0.0% | 1/2 = 50.0% |" in table(counts)
    assert figures(tally([], [], [])) == {}


# --- in a bundle's report ---


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """The small Llama with room for conversations and a template with turns."""
    folder = tmp_path_factory.mktemp("source") / "llama"
    small_model.write_checkpoint(folder, small_model.llama_weights(), max_position_embeddings=2048)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": TEMPLATE}))
    return folder


@pytest.fixture(scope="module")
def bundle(source, tmp_path_factory) -> Path:
    """Made of it, in 4 bits."""
    made = tmp_path_factory.mktemp("made") / "bundle"
    words = ["--method", "rtn", "--context", "1024", "--allow-loss", "--task-questions", COUNT]
    assert run([str(source), "-o", str(made), *words]) == 0
    return made


def test_the_report_counts_them(bundle):
    """Programs, people and the manifest are told the same."""
    told = json.loads((bundle / "fidelity.json").read_text())["tasks"]
    whole = told[ALL]
    assert set(told) <= {*kinds(), ALL}
    assert 10 < whole["questions"] <= int(COUNT)
    assert 0 < whole["kept"] <= whole["questions"]
    assert (
        f"| all | {whole['questions']} | {whole['kept']}/{whole['questions']} = "
        in (bundle / "fidelity.md").read_text()
    )
    found = open_bundle(bundle).manifest.fidelity
    assert found["tasks_questions"] == whole["questions"]
    assert found["tasks_kept"] == pytest.approx(whole["kept"] / whole["questions"], rel=1e-5)
    assert found["kl_mean"] > 0


def test_a_finished_bundle_is_asked_as_well(bundle, source, capsys):
    """Its whole graph answers as its layers did, and the rest of its manifest stays; of another's source nothing."""
    before = open_bundle(bundle).manifest
    assert run([str(source), "--measure", str(bundle), "--task-questions", COUNT]) == 0
    assert "| all |" in capsys.readouterr().out
    assert open_bundle(bundle).manifest == before
    assert run([str(source), "--measure", str(bundle), "--task-questions", "0"]) == 1
    assert "no question is to be asked" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bundle_of_another_source_or_a_signed_one_is_not_asked(bundle, source, tmp_path, capsys):
    """By name, and its manifest stays."""
    weights = small_model.llama_weights()
    weights["model.norm.weight"] = weights["model.norm.weight"] * 2
    other = small_model.write_checkpoint(tmp_path / "other", weights, max_position_embeddings=2048)
    assert run([str(other), "--measure", str(bundle)]) == 1
    assert "was not made of" in capsys.readouterr().err
    (bundle / "model.sig").write_text("{}")
    assert run([str(source), "--measure", str(bundle)]) == 1
    assert "is signed" in capsys.readouterr().err


def test_a_limit_that_is_not_kept_packs_nothing(source):
    """By the share and how many were asked; where none was, there is nothing to keep."""
    plan = make_plan(open_source(source), Recipe(licence="none", limits=Limits(tasks_kept=0.9)))
    with pytest.raises(FidelityError, match=r"answers 85\.0% of 320 task questions .* wants 90\.0%"):
        check_limits(plan, {"tasks_kept": 0.85, "tasks_questions": 320})
    check_limits(plan, {"tasks_kept": 0.9, "tasks_questions": 320})
    check_limits(plan, {})


@pytest.mark.parametrize("count", ["-1", "9999", "many"])
def test_a_number_of_questions_that_there_is_not(count, capsys):
    """Refused at once."""
    assert run(["llama", f"--task-questions={count}"]) == 2
    assert f"there are 0 to {QUESTIONS_MAX}" in capsys.readouterr().err
