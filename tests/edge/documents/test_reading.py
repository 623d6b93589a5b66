"""What is read of each kind of file, in which encoding, and where it is cut."""

from __future__ import annotations

import pytest

from edge.documents.cutting import CHARS, CHARS_BLOCK, cut
from edge.documents.encodings import decoded
from edge.documents.parts import Document
from edge.documents.plain import markdown, plain
from edge.documents.web import html
from tests.edge.documents.papers import paper

LONG = "The keeper climbs the stairs of the tower and lights the lamp again. "


def kinds(document: Document) -> list[tuple[str, str]]:
    """Kinds and texts of a document's parts."""
    return [(part.kind, part.text) for part in document.parts]


def test_markdown_keeps_code_and_tables_and_takes_links_as_words():
    """What is between fences is no heading; a table is one part; addresses would cost tokens and say nothing."""
    text = (
        "---\ndate: today\n---\n# The *lamp*\n\nIt burns [oil](https://example.org/oil) ![a lamp](lamp.png).\n\n"
        "```sh\n# not a heading\n\nlight --lamp\n```\n\n| oil | litres |\n|---|---|\n| whale | 3 |\n\n"
        "The keeper\n----------\n\nHe climbs.\n"
    )
    assert kinds(markdown(text)) == [
        ("heading", "The lamp"),
        ("text", "It burns oil a lamp."),
        ("block", "```sh\n# not a heading\n\nlight --lamp\n```"),
        ("block", "| oil | litres |\n|---|---|\n| whale | 3 |"),
        ("heading", "The keeper"),
        ("text", "He climbs."),
    ]
    assert markdown(text).title == "The lamp"


def test_plain_text_has_headings_by_its_underlines():
    """Levels are in the order in which the signs come, as reStructuredText has it; a line above one is its own sign."""
    text = "=====\nTower\n=====\n\nIntro.\n\nLamp\n----\n\nOil.\n\nWick\n~~~~\n\nCotton.\n\nKeeper\n------\n\nClimbs.\n"
    levels = [(part.level, part.text) for part in plain(text).parts if part.kind == "heading"]
    assert levels == [(1, "Tower"), (2, "Lamp"), (3, "Wick"), (2, "Keeper")]
    assert kinds(plain("no headings\n\n    code()\n\n- a list\n---\n")) == [
        ("text", "no headings"),
        ("block", "    code()"),
        ("text", "- a list\n---"),
    ]


def test_html_is_what_a_visitor_would_see():
    """Scripts, styles, menus and what is hidden are not; a table's rows are lines; code keeps its lines."""
    page = (
        "<html><head><title>The&nbsp;tower</title><style>p{}</style></head><body><nav>Home</nav>"
        "<h1>The <b>lamp</b></h1>"
        "<p>It burns <a href='x'>oil</a>,<br>every night.<script>alert('no')</script><p hidden>secret</p>"
        "<ul><li>wick<li>glass</ul><pre>light()\n  lamp</pre><table><tr><th>oil<td>3<tr><td>wick<td>1</table>"
        "<div aria-hidden='true'>icon<div>icon</div></div>After.</body>"
    )
    document = html(page)
    assert document.title == "The tower"
    assert kinds(document) == [
        ("heading", "The lamp"),
        ("text", "It burns oil, every night."),
        ("text", "- wick"),
        ("text", "- glass"),
        ("block", "light()\n  lamp"),
        ("block", "oil | 3\nwick | 1"),
        ("text", "After."),
    ]


def test_a_paper_has_pages_headings_by_its_outline_and_no_running_titles():
    """What stands at the edge of every page belongs to the paper; the outline's words are found among the lines."""
    pdf = pytest.importorskip("edge.documents.pdf").pdf
    pages = [["On lighthouses", f"{place}.1 The {word}", f"{LONG[:60]}{word}.", f"- {place} -"] for place, word in
             enumerate(("lamp", "stairs", "keeper", "oil", "glass"))]  # fmt: skip
    document = pdf(paper(pages, {"The lamp": 0, "The keeper": 2}, title="Lighthouses"))
    assert document.title == "Lighthouses"
    assert [(part.kind, part.page, part.text) for part in document.parts][:3] == [
        ("heading", 1, "The lamp"),
        ("text", 1, f"{LONG[:60]}lamp."),
        ("text", 2, f"1.1 The stairs\n{LONG[:60]}stairs."),
    ]
    assert "On lighthouses" not in " ".join(part.text for part in document.parts)


@pytest.mark.parametrize(
    ("data", "text", "guess"),
    [
        ("Müller – größer".encode(), "Müller – größer", ""),
        ("\ufeffMüller".encode(), "Müller", ""),
        ("Müller".encode("utf-16"), "Müller", ""),
        ("Müller".encode("utf-32"), "Müller", ""),
        ("Müller – größer".encode("cp1252"), "Müller – größer", "cp1252"),
        ("Mu\u0308ller\r\nund\rSohn\u00ad".encode(), "Müller\nund\nSohn", ""),
        ("灯台\u202eの\u200b鍵".encode(), "灯台の鍵", ""),
    ],
)
def test_encodings(data, text, guess):
    """By mark, as UTF-8, at last as Western European, which is told; nothing unseen stays."""
    assert decoded(data) == (text, guess)


def test_a_page_may_name_its_encoding():
    """If Python has it and it is one of texts; bytes that are no text are refused."""
    assert decoded('<meta charset="shift_jis">灯台'.encode("shift_jis"), is_page=True)[0].endswith("灯台")
    assert decoded('<meta charset="zlib">M\xfcller'.encode("latin-1"), is_page=True)[0].endswith("Müller")
    with pytest.raises(ValueError, match="zero bytes"):
        decoded(b"\x7fELF\0\0")


def test_pieces_are_filled_with_whole_paragraphs_below_their_headings():
    """A small section goes on in the next; a long paragraph is torn at sentences; nothing is lost or said twice."""
    text = f"# Tower\n\n{LONG * 5}\n\n{LONG * 5}\n\n{LONG * 40}\n\n"
    text += f"## Lamp\n\nOil.\n\n### Wick\n\nCotton.\n\n# Sea\n\n{LONG * 16}\n"
    pieces = list(cut(markdown(text)))
    assert [piece.heading for piece in pieces][-3:] == ["Lamp", "Sea", "Sea"]
    assert all(len(piece.text) <= CHARS for piece in pieces)
    assert pieces[0].text == f"{LONG * 5}".strip() + "\n\n" + f"{LONG * 5}".strip()
    assert pieces[-3].text == "Oil.\n\nWick\n\nCotton."
    words = [word for piece in pieces for word in piece.text.split()]
    assert words.count("keeper") == 66


def test_code_and_tables_stay_whole_as_long_as_a_piece_bears_it():
    """A longer one is torn."""
    rows = "\n".join(f"| night {night} | oil |" for night in range(60))
    pieces = list(cut(markdown(f"# Log\n\n{LONG}\n\n{rows}\n")))
    assert pieces[-1].text == rows
    assert CHARS < len(rows) < CHARS_BLOCK
    assert len(list(cut(markdown("\n".join([rows] * 4))))) > 4


def test_text_without_spaces_or_ends_is_torn_somewhere():
    """Whatever comes, a piece is bounded."""
    for text in ("x" * 10_000, "灯" * 5000, "word " * 5000):
        pieces = list(cut(plain(text)))
        assert max(len(piece.text) for piece in pieces) <= CHARS
        assert "".join("".join(piece.text.split()) for piece in pieces) == "".join(text.split())
