"""The page of figures: each has a meaning and a row, writing keeps what was not measured, charts come from the rows."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import page
from benchmarks.__main__ import MEASURES
from benchmarks.charts import CHARTS, drawable
from benchmarks.claims import FIVE, GROUPS, meanings
from benchmarks.figure import SHORT, Figure, Row
from tests.conftest import ROOT

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The page, its charts and a README with the two marks, in a folder of their own."""
    shutil.copytree(ROOT / "docs/charts", tmp_path / "docs/charts")
    shutil.copy(ROOT / "docs/figures.md", tmp_path / "docs")
    (tmp_path / "README.md").write_text("before\n\n{}\n{}\n\nafter\n".format(*page.FIVE_MARKS))
    return tmp_path


def kept(name: str, value: float, bar: float = 1.0) -> dict[str, dict[str, object]]:
    """A figure as figures.json has it; at least its bar is wanted."""
    return {name: {"value": value, "unit": "ratio", "compare": ">=", "bar": bar, "ok": value >= bar}}


def rows(root: Path = ROOT) -> dict[str, Row]:
    """Those of the page."""
    return page.rows_of((root / "docs/figures.md").read_text())


def named_in_the_code() -> list[str]:
    """Patterns of the names that benchmarks give their figures, where they are spelled out in whole or in part."""
    found = []
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Figure", "Proof"):
                found += pattern(node.args[0])
    return found


def pattern(name: ast.expr) -> list[str]:
    """What a name's expression can become; nothing where it is a variable."""
    if isinstance(name, ast.Constant):
        return [re.escape(name.value)]
    parts = name.values if isinstance(name, ast.JoinedStr) else []
    whole = "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in parts)
    return [whole] if whole and not whole.endswith("_measured") else []  # could not be measured here: never kept


def test_every_figure_has_a_meaning_and_every_meaning_a_figure():
    """A row without a line in benchmarks/claims.py, a line without a row, a name in two groups: all are mistakes."""
    assert sorted(rows()) == sorted(meanings())
    assert sum(len(group.meanings) for group in GROUPS) == len(meanings())
    assert all(words.strip() and "|" not in words for words in meanings().values())
    assert set(FIVE) <= set(meanings())


def test_a_figure_in_the_code_cannot_go_without_a_meaning():
    """Not even one that nobody has measured yet."""
    patterns = named_in_the_code()
    assert len(patterns) > 50
    missing = [each for each in patterns if not any(re.fullmatch(each, name) for name in meanings())]
    assert missing == []


def test_each_group_names_what_measures_it():
    """What a heading gives `ONLY=` is what the command takes, and every measure is named by some heading."""
    assert {name for group in GROUPS for name in group.only.split()} == set(MEASURES)


def test_writing_nothing_changes_nothing(copy):
    """Page and charts are what the command makes of the page's own rows, to the byte."""
    page.write({}, copy)
    for path in [Path("docs/figures.md"), *(Path("docs/charts") / chart.file for chart in CHARTS)]:
        assert (copy / path).read_bytes() == (ROOT / path).read_bytes(), path


def test_a_figure_that_was_measured_again_changes_its_row_alone(copy):
    """Every other line stays."""
    page.write(kept("hostile_growth_mb", 2.5), copy)
    before, after = ((root / "docs/figures.md").read_text().splitlines() for root in (ROOT, copy))
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [f"| {meanings()['hostile_growth_mb']}<br>`hostile_growth_mb` | 2.5 ratio | >= 1 |"]


def test_a_chart_and_its_alt_text_follow_the_row(copy):
    """A new figure is in the picture and in what is read to who does not see it; the other charts stay."""
    page.write(kept("eight_clients_over_llama_cpp", 1.777), copy)
    changed = {
        chart.file
        for chart in CHARTS
        if (copy / "docs/charts" / chart.file).read_bytes() != (ROOT / "docs/charts" / chart.file).read_bytes()
    }
    assert changed == {"eight-clients.svg"}
    assert "1.777" in (copy / "docs/charts/eight-clients.svg").read_text()
    assert re.search(r"!\[.*1\.777.*\]\(charts/eight-clients\.svg\)", (copy / "docs/figures.md").read_text())


def test_a_short_figure_is_marked(copy):
    """In bold where the bar is not met, in the chart too; not any more once it is met."""
    page.write(kept("eight_clients_over_llama_cpp", 1.1, bar=1.2), copy)
    assert rows(copy)["eight_clients_over_llama_cpp"] == Row("1.1 ratio", f">= 1.2 {SHORT}")
    assert "1.1 (short)" in (copy / "docs/charts/eight-clients.svg").read_text()
    page.write(kept("eight_clients_over_llama_cpp", 1.2, bar=1.2), copy)
    assert rows(copy)["eight_clients_over_llama_cpp"] == Row("1.2 ratio", ">= 1.2")


def test_the_marks_are_right_and_every_short_figure_is_explained():
    """Each row says short exactly where its two numbers do, and the text above the tables says why."""
    above = (ROOT / "docs/figures.md").read_text().partition(page.MARKS[0])[0]
    for name, row in rows().items():
        compare = row.bar.split()[0]
        assert Figure(name, row.value, "", compare, row.limit).ok is not row.is_short, name
        assert not row.is_short or f"- `{name}`" in above, name


def test_the_five_of_the_readme(copy):
    """They stand between its marks and say what the page says; the rest of it stays."""
    page.write({}, copy)
    text = (copy / "README.md").read_text()
    assert text.startswith("before\n\n")
    assert text.endswith("\n\nafter\n")
    lines = page.between(text, page.FIVE_MARKS).strip().splitlines()[2:]
    assert lines == [f"| {words} | {rows()[name].measured} |" for name, words in FIVE.items()]


def test_a_readme_without_marks_stays_as_it_is(copy):
    """Not a byte of it is written."""
    (copy / "README.md").write_text("nothing here\n")
    page.write({}, copy)
    assert (copy / "README.md").read_text() == "nothing here\n"


def test_a_figure_without_a_meaning_is_left_out_and_named(copy, capsys):
    """What was measured is not lost for it: it is in figures.json."""
    page.write(kept("of_tomorrow", 1), copy)
    assert "of_tomorrow" not in rows(copy)
    assert "of_tomorrow" in capsys.readouterr().err


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.file)
def test_charts_are_whole(chart):
    """Well-formed, with a title, a description, an axis with its unit, and colours for light and dark; on the page."""
    text = (ROOT / "docs/charts" / chart.file).read_text()
    root = ElementTree.fromstring(text)
    assert root.find(f"{SVG}title").text == chart.title
    assert root.find(f"{SVG}desc").text == chart.alt(rows())
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert any(unit in each for each in words for unit in ("a second", "nats", "°C"))
    assert "prefers-color-scheme: dark" in text
    assert f"![{chart.alt(rows())}](charts/{chart.file})" in (ROOT / "docs/figures.md").read_text()


def test_a_chart_without_its_figures_is_not_drawn():
    """A page that lacks one of them has no picture that leaves it out."""
    some = {name: row for name, row in rows().items() if name != "eight_clients_over_one"}
    assert [chart.file for chart in drawable(some)] == ["speed.svg", "governor.svg", "losses.svg"]
