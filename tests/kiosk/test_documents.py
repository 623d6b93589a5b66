"""Answers from the kiosk's own documents: their sources are named, shown and opened."""

from __future__ import annotations

import subprocess

import pytest

from tests.conftest import EDGE, ROOT
from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
PAPERS = {
    "lamp.md": "# The lamp\n\n## The keeper\n\nThe lamp of the Corvo lighthouse was lit by Amelia Brandt in 1887.\n",
    "visit.html": "<h1>Your visit</h1><h2>Opening hours</h2><p>The tower is open from nine to five, not on Mondays."
    "</p><script>document.title = 'broken in'; parent.postMessage('broken in', '*')</script>",
    "boats.txt": "Boats\n\nThe rescue boat Petrel has six oars and a red sail.\n",
}
CONFIG = {"documents": "museum", "documents_url": "/documents/museum/"}


@pytest.fixture
def museum(tmp_path):
    """A folder of documents, and the folder of their index."""
    papers, into = tmp_path / "papers", tmp_path / "indexes"
    papers.mkdir()
    into.mkdir()
    for name, text in PAPERS.items():
        (papers / name).write_text(text)
    add = [*EDGE, "documents", "add", str(papers), "--name=museum", f"--into={into}"]
    subprocess.run(add, check=True, cwd=ROOT)
    return papers, into


def test_an_answer_names_its_sources_and_they_open(bundle, pages, tmp_path, museum):
    """The real model; the source is listed, its text is shown, its document opened, whose script does not run."""
    papers, into = museum
    with box(
        tmp_path, bundle, CONFIG, serve=(f"--serve=/documents/museum={papers}",), EDGE_DOCUMENTS__FOLDER=str(into)
    ) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("When is the tower open, and who lit the lamp of Corvo?")
        visitor.answered()
        assert visitor.answer_state == "done"
        names = visitor.part("source").all_inner_texts()
        assert any("Your visit" in name and "Opening hours" in name for name in names), names
        visitor.part("source").filter(has_text="Opening hours").first.click()
        visitor.part("source-dialog").wait_for()
        assert "from nine to five" in visitor.part("source-text").inner_text()
        visitor.part("source-open").click()
        frame = visitor.page.frame_locator("iframe")
        frame.get_by_text("The tower is open").wait_for()
        assert visitor.page.title() != "broken in"
        visitor.page.keyboard.press("Escape")
        visitor.wait_gone("[data-part=source-dialog]")
        visitor.page.locator("iframe").wait_for(state="detached")


def test_where_nothing_fits_there_is_no_source(bundle, pages, tmp_path, museum):
    """The board says that it found nothing."""
    _, into = museum
    with box(tmp_path, bundle, CONFIG, EDGE_DOCUMENTS__FOLDER=str(into)) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("Zwölf quadratische Schraubenschlüssel?")
        assert "I found nothing about that in the documents." in visitor.answered()
        assert visitor.part("source").count() == 0
