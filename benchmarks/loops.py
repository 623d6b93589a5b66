"""Answers that fall into a loop: how soon the guard ends them, and whether it lets everything else be.

The judge reads characters, not tokens: an answer loops where its end, up to the length that cut it off, is one passage
at least three times running. A false alarm is an answer or a text that is cut where no passage was said three times.
"""

from __future__ import annotations

import random
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from benchmarks.figure import Figure
from edge.bundle import read_manifest
from edge.engine import Event, Finished, Job, Options
from edge.engine.batch.engine import BatchedEngine
from edge.engine.batch.row import Row
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.loops import LoopGuard
from edge.errors import Fault

LENGTH, WARM = 512, 0.8
IN_TIME_TOKENS = 64
LOOP_CHARACTERS = 40
"""What the end of an answer must repeat before its judge calls it a loop: less is a row of dots."""
TEXTS, TEXT_CHARACTERS = 300, 2500
TOPICS = """the sea, a lighthouse, bread, a steam engine, bees, the moon, an MQTT broker, a thermostat, Rome, chess,
volcanoes, a bicycle, tea, winter, a robot, music, a library, a river, the heart, football""".replace("\n", " ").split(
    ", "
)
TASKS = (
    "Write a haiku about {}.",
    "Explain {} to a child.",
    "List ten facts about {}.",
    "Write a Python function that has something to do with {}.",
    "Make a Markdown table about {} with five rows.",
    "Write a short poem about {}.",
    "Write a dialogue between two friends about {}.",
    "Give me a recipe or a plan for {}.",
    "Write a story about {}.",
    "What are the advantages and disadvantages of {}?",
    "Summarize what you know about {} in three sentences.",
    "Write a song with a chorus about {}.",
    "Write a JSON object that describes {}.",
    "Write an email to a colleague about {}.",
    "Name twenty words that go with {}.",
    "Write a C program that prints something about {}.",
    "Count from 1 to 30 and say something about {} each time.",
    "Write HTML for a page about {}.",
    "Translate 'I like {}' into five languages.",
    "Write a quiz with answers about {}.",
)


@dataclass(frozen=True)
class Answer:
    """An answer without the guard. cut: tokens after which the guard would have ended it; None for never."""

    tokens: list[int]
    text: str
    is_greedy: bool
    ended_by_itself: bool
    cut: int | None


class Recorder(BatchedEngine):
    """An engine that keeps the tokens of its answers."""

    def __init__(self, bundle: Path) -> None:
        super().__init__(bundle, Options(prefix_bytes=0, drafts=False))
        self.answers: list[tuple[Job, list[int], bool]] = []
        """With whether each ended by itself."""

    def _end(self, row: Row, what: Finished | Fault) -> Iterator[Event]:
        if isinstance(what, Finished):
            self.answers.append((row.job, row.tokens[row.prompt_tokens :], what.finish_reason == "stop"))
        return super()._end(row, what)


def measure(bundle: Path) -> list[Figure]:
    """Eight hundred answers of the real model, and code, lists and tables that people wrote."""
    tokenizer = Tokenizer(bundle, read_manifest(bundle))
    answers = list(answered(bundle, tokenizer))
    greedy = [each for each in answers if each.is_greedy and not each.ended_by_itself]
    looping = [each for each in greedy if third_time(each.text) is not None]
    ended = [each for each in answers if each.ended_by_itself]
    texts = [Answer(tokens, text, False, True, cut_of(tokens, tokenizer)) for tokens, text in written(tokenizer)]
    false = sum(each.cut is not None and not repeats(each, tokenizer) for each in (*ended, *texts))
    early = sum(each.cut is not None for each in ended)
    spared = sum(len(each.tokens) - (each.cut or len(each.tokens)) for each in answers)
    in_time = sum(is_in_time(each, tokenizer) for each in looping)
    return [
        Figure("loop_guard_false_alarms", false, f"of {len(ended)} + {len(texts)}", "==", 0),
        Figure("loop_guard_texts_cut", sum(each.cut is not None for each in texts), f"of {len(texts)}", "==", 0),
        Figure("loop_guard_ended_anyway_cut_ratio", round(early / len(ended), 4), "ratio", "<=", 0.03),
        Figure("loop_guard_in_time_ratio", round(in_time / len(looping), 4), "ratio", ">=", 0.95),
        Figure(
            "loop_guard_tokens_spared_ratio", round(spared / sum(len(a.tokens) for a in answers), 4), "ratio", ">=", 0.2
        ),
    ]


def answered(bundle: Path, tokenizer: Tokenizer) -> Iterator[Answer]:
    """Every task about every topic, greedily and by chance."""
    engine = Recorder(bundle)
    prompts = [task.format(topic) for task, topic in product(TASKS, TOPICS)]
    for number, (prompt, temperature) in enumerate(product(prompts, (0.0, WARM))):
        turn = {"role": "user", "content": prompt}
        engine.submit(Job(number, [turn], LENGTH, temperature=temperature, seed=number))
    while not engine.is_idle:
        for _ in engine.step():
            pass
    for job, tokens, ended in engine.answers:
        yield Answer(tokens, tokenizer.text(tokens), job.temperature == 0, ended, cut_of(tokens, tokenizer))


def cut_of(tokens: list[int], tokenizer: Tokenizer) -> int | None:
    """After how many tokens the guard ends an answer."""
    guard = LoopGuard(tokenizer.text)
    return next((count for count, token in enumerate(tokens, 1) if guard.take(token)), None)


def written(tokenizer: Tokenizer) -> Iterator[tuple[list[int], str]]:
    """Code as Python's own library has it, and made lists and tables: what rhymes and is no loop."""
    chance = random.Random(0)
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    for number in range(TEXTS):
        text = MADE[number % len(MADE)](chance) if number % 2 else piece(chance, files)
        yield tokenizer.ids(text), text


def piece(chance: random.Random, files: list[Path]) -> str:
    """Some of a file."""
    text = chance.choice(files).read_text(encoding="utf-8", errors="replace")
    start = chance.randrange(max(1, len(text) - TEXT_CHARACTERS))
    return text[start : start + TEXT_CHARACTERS]


def table(chance: random.Random) -> str:
    """Markdown, most cells alike."""
    rows = [
        f"| sensor {n} | {chance.choice(['ok', 'ok', 'ok', 'hot'])} | {chance.randint(18, 24)} °C |" for n in range(30)
    ]
    return "\n".join(["| name | state | heat |", "|---|---|---|", *rows])


def numbered(_chance: random.Random) -> str:
    """A list whose items differ in their numbers alone."""
    return "\n".join(f"{number}. Turn the valve to the next position." for number in range(1, 40))


def empty_table(chance: random.Random) -> str:
    """A form to be filled in."""
    columns = chance.randint(3, 6)
    return "\n".join(["| " + " | ".join("ABCDEF"[:columns]) + " |", *["|" + "   |" * columns] * 9])


def matrix(chance: random.Random) -> str:
    """A unit matrix."""
    size = chance.randint(5, 10)
    return "\n".join(", ".join(str(int(row == column)) for column in range(size)) for row in range(size))


def switch(chance: random.Random) -> str:
    """Code whose lines differ in a name and a number."""
    names = chance.sample(["RED", "GREEN", "BLUE", "WHITE", "BLACK", "AMBER", "CYAN", "PINK"], 8)
    return "\n".join(f"    case {name}:\n        set_colour({n});\n        break;" for n, name in enumerate(names))


def song(_chance: random.Random) -> str:
    """A chorus between verses, and a line three times."""
    line = "Row, row, row your boat, gently down the stream\n"
    return "".join(f"{line * 3}Verse {number}: merrily we go to place number {number}\n" for number in range(6))


MADE = (table, numbered, empty_table, matrix, switch, song)


def third_time(text: str) -> int | None:
    """How many characters a text has when its last passage was said for the third time; None where it does not loop."""
    for period in range(1, len(text) // 3 + 1):
        place = len(text)
        while place > period and text[place - 1] == text[place - 1 - period]:
            place -= 1
        if len(text) - place >= max(2 * period, LOOP_CHARACTERS):
            return place + 2 * period
    return None


def is_in_time(each: Answer, tokenizer: Tokenizer) -> bool:
    """Whether a looping answer was over soon after its passage was said for the third time."""
    third = third_time(each.text)
    assert third is not None
    return (each.cut or len(each.tokens)) - len(tokenizer.ids(each.text[:third])) <= IN_TIME_TOKENS


def repeats(each: Answer, tokenizer: Tokenizer) -> bool:
    """Whether what was said until the cut ends in a passage three times running."""
    return third_time(tokenizer.text(each.tokens[: each.cut])) is not None
