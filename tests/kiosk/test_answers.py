"""Asking, reading, stopping; two tabs; what is refused."""

from __future__ import annotations

from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK


def test_a_visitor_asks_the_real_model(bundle, pages, tmp_path):
    """The answer grows on the screen, and is what the model says."""
    with box(tmp_path, bundle) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("What is the capital of France?")
        assert "Paris" in visitor.answered()
        assert visitor.answer_state == "done"
