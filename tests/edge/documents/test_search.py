"""What is found: in any language, whatever a question looks like, and nothing where nothing fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.documents.adding import add
from edge.documents.search import Index, find_index, names, open_index
from edge.documents.words import words

DOCUMENTS = {
    "en.md": "# Lighthouse\n\n## Opening hours\n\nThe tower opens at nine and closes at dusk.\n\n## Prices\n\n"
    "Children under six enter without paying; others pay four euros.\n",
    "de.txt": "Öffnungszeiten\n==============\n\nDer Leuchtturm schließt bei Sturm."
    " Fahrräder stehen hinter dem Häuschen.\n",
    "ja.html": "<h1>灯台</h1><p>灯台は朝九時に開館します。自転車は裏に停めてください。</p>",
    "zh.txt": "灯塔博物馆每天早上九点开门。自行车请停在后面。\n",
    "th.txt": "พิพิธภัณฑ์ประภาคารเปิดเวลาเก้าโมงเช้า จักรยานจอดด้านหลัง\n",
    "ar.txt": "تُفتح المنارة في الساعة التاسعة صباحًا. ضع الدراجات خلف المبنى.\n",
    "ru.md": "# Маяк\n\nМаяк открывается в девять утра. Велосипеды ставят за домом.\n",
    "hi.txt": "प्रकाशस्तंभ सुबह नौ बजे खुलता है। साइकिलें पीछे रखें।\n",
}


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Of the documents above, by words alone."""
    for name, text in DOCUMENTS.items():
        (tmp_path / "texts").mkdir(exist_ok=True)
        (tmp_path / "texts" / name).write_text(text, encoding="utf-8")
    add(tmp_path / "texts", tmp_path / "light.index", None, "", lambda *_: None)
    return open_index(tmp_path / "light.index")


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("When does the tower open?", "en.md"),
        ("How much do children pay?", "en.md"),
        ("Wann schliesst der Leuchtturm?", "de.txt"),
        ("Wo darf ich Fahrräder hinstellen?", "de.txt"),
        ("FAHRRADER", "de.txt"),
        ("自転車はどこに停めますか？", "ja.html"),
        ("自行车停在哪里？", "zh.txt"),
        ("จอดจักรยานที่ไหน", "th.txt"),
        ("أين أضع الدراجات؟", "ar.txt"),
        ("где оставить велосипеды?", "ru.md"),
        ("साइकिलें कहाँ रखें?", "hi.txt"),
    ],
)
def test_a_question_in_a_language_finds_that_language(index, question, path):
    """With and without spaces between words, accents, vowels' signs and capitals."""
    assert index.search(question, None, 3)[0].piece.path == path


@pytest.mark.parametrize(
    "question",
    ["", "   ", "?!", "\0", "zebra", "How do I bake bread?", "x" * 100_000, '"' * 500, "NEAR(", "\ud800", "* OR *"],
)
def test_nothing_that_fits_is_an_empty_list(index, question):
    """No question breaks anything, none is a question to SQLite."""
    assert index.search(question, None, 5) == []


def test_a_question_is_never_syntax(index):
    """Operators of FTS5 are words, columns are none."""
    asked = 'heading:tower AND NOT "tower" OR (tower opens) ^dusk* {text}: tower'
    assert index.search(asked, None, 1)[0].piece.path == "en.md"


def test_only_as_many_as_asked_for_and_best_first(index):
    """Scores fall; each piece comes once."""
    found = index.search("tower opens closes dusk nine children pay euros", None, 2)
    assert len(found) <= 2
    assert sorted((each.score for each in found), reverse=True) == [each.score for each in found]
    assert len({each.piece.number for each in found}) == len(found)
    assert all(each.score > 0 for each in found)


def test_meaning_finds_what_words_do_not(tmp_path):
    """A vector of the question ranks beside its words; one of other dimensions is passed over."""
    directions = {"sea": 0, "oil": 1, "wick": 2}

    def embed(texts: list[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 8), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[next(place for word, place in directions.items() if word in text)] = 1
        return rows

    for word in directions:
        (tmp_path / f"{word}.txt").write_text(f"All that is known of {word}.\n")
    add(tmp_path, tmp_path / "all.index", embed, "ab" * 32, lambda *_: None)
    index = open_index(tmp_path / "all.index")
    assert index.embedder == "ab" * 32
    assert [each.piece.path for each in index.search("Ozean", embed(["sea"]), 5)] == ["sea.txt"]
    assert index.search("Ozean", np.ones((1, 4), np.float32), 5) == []
    assert index.search("Ozean", None, 5) == []


def test_indexes_are_found_by_name_in_the_first_folder_that_has_them(index, tmp_path):
    """No name leads elsewhere."""
    other = tmp_path / "other"
    other.mkdir()
    assert names([tmp_path / "gone", tmp_path]) == ["light"]
    assert find_index("light", [other, tmp_path]) == tmp_path / "light.index"
    for name in ("dark", "../light", "", ".", "light.index/", "a" * 65, "light\0"):
        assert find_index(name, [tmp_path]) is None


def test_words_are_the_same_however_they_are_written():
    """Case, accents, width, endings."""
    assert words("Opening HOURS") == words("opened hour")
    assert words("Ｃafé naïve") == words("cafe naive")
    assert words("كِتَاب") == words("كتاب")
    assert words("灯台の鍵") == ["灯台", "台の", "の鍵"]


@pytest.mark.parametrize("count", range(1, 13))
def test_a_small_folder_is_found_in_however_few_its_pieces_are(tmp_path, count):
    """A word of one piece of two is in half of all, and tells them apart all the same; so does one that is in all."""
    (tmp_path / "texts").mkdir()
    for number in range(count):
        (tmp_path / f"texts/{number}.md").write_text(f"# Fault E{number}\n\nLift the float of pump {number}.\n")
    add(tmp_path / "texts", tmp_path / "few.index", None, "", lambda *_: None)
    index = open_index(tmp_path / "few.index")
    assert index.search("What does E0 mean?", None, 3)[0].piece.path == "0.md"
    assert index.search("How do I lift the float?", None, 3)
    assert not index.search("Who won the world cup?", None, 3)
