"""Every screen, on every display and in every theme: nothing sticks out, and axe finds nothing."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tests.kiosk import axe
from tests.kiosk.conftest import KIOSK
from tests.kiosk.screens import SIZES, THEMES, Walk, lighthouse

pytestmark = KIOSK
PICTURES = ROOT / "build/kiosk"
"""Where the screenshots stay, to be looked at."""
OUTSIDE = """() => [...document.querySelectorAll('[data-part]:is(button, textarea, h1, h2, p, dialog)')]
    .filter(each => each.checkVisibility({checkVisibilityCSS: true}) && !each.closest('.unseen'))
    .filter(each => !each.closest('[data-part=scroll], [data-part=staff-panel], dialog') || each.matches('dialog'))
    .filter(each => {
        const {left, right, top, bottom, width} = each.getBoundingClientRect();
        return width && (left < -1 || right > innerWidth + 1 || top < -1 || bottom > innerHeight + 1);
    })
    .map(each => each.dataset.part)"""
CUT = """() => [...document.querySelectorAll('button, h1, h2, h3, p, span, dd, dt')]
    .filter(each => each.checkVisibility() && !each.closest('.unseen'))
    .filter(each => each.clientWidth > 1 && each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== 'inline')
    .map(each => `${each.dataset.part ?? each.className ?? each.tagName}: ${each.textContent.slice(0, 40)}`)"""

BROKEN = r"""() => {
    const found = [];
    for (const each of document.querySelectorAll('[data-part=bar] *, button, h2')) {
        if (!each.checkVisibility() || each.closest('.unseen') || each.clientWidth === 1) continue;
        for (const node of [...each.childNodes].filter(child => child.nodeType === Node.TEXT_NODE))
            for (const {index, 0: word} of node.data.matchAll(/[\p{L}\p{M}]+/gu)) {
                const range = new Range();
                range.setStart(node, index);
                range.setEnd(node, index + word.length);
                if (new Set([...range.getClientRects()].map(({top}) => Math.round(top))).size > 1) found.push(word);
            }
    }
    return found;
}"""


@pytest.fixture(scope="module")
def museum(bundle, tmp_path_factory):
    """One box for all of them."""
    with lighthouse(tmp_path_factory.mktemp("museum"), bundle) as here:
        yield here


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing(museum, pages, theme, language):
    """On any screen of a theme; small and large screens have the same parts."""
    found, looked = [], []
    visitor = pages(bypass_csp=True)

    def look(name):
        looked.append(name)
        found.extend(f"{name}: {each}" for each in axe.violations(visitor.page))

    Walk(visitor, museum.url, look, theme=theme, language=language).all()
    assert found == []
    assert len(looked) >= 14


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_display_shows_all(museum, pages, size, language):
    """What can be touched is within the screen, no word is cut off; the screenshots are kept."""
    found = []
    PICTURES.mkdir(parents=True, exist_ok=True)
    visitor = pages(viewport={"width": size[0], "height": size[1]}, has_touch=True)

    def look(name):
        visitor.page.screenshot(path=PICTURES / f"{name}-{size[0]}x{size[1]}-{language}.png")
        found.extend(f"{name}: {each} is outside" for each in visitor.page.evaluate(OUTSIDE))
        found.extend(f"{name}: {each} is cut off" for each in visitor.page.evaluate(CUT))
        found.extend(f"{name}: {each} is broken" for each in visitor.page.evaluate(BROKEN))

    Walk(visitor, museum.url, look, theme="light", language=language).all()
    assert found == []


@pytest.mark.parametrize("theme", THEMES[1:])
@pytest.mark.parametrize("language", ["en", "ar"])
def test_themes_are_kept_to_be_looked_at(museum, pages, theme, language):
    """The other themes on two displays."""
    for size in SIZES[1], SIZES[2]:
        visitor = pages(viewport={"width": size[0], "height": size[1]}, has_touch=True)

        def look(name, visitor=visitor, size=size):
            visitor.page.screenshot(path=PICTURES / f"{name}-{size[0]}x{size[1]}-{language}-{theme}.png")

        walk = Walk(visitor, museum.url, look, theme=theme, language=language)
        walk.first()
        walk.answer()
        walk.staff()
