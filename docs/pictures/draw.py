"""The picture at the head of the README: who asks whom. `python docs/pictures/draw.py` writes it, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parent
WIDTH, HEIGHT = 970, 330
THEMES = {
    "light": {"ink": "#1f2328", "soft": "#59636e", "line": "#818b98", "box": "#f6f8fa", "board": "#ddf4ff"},
    "dark": {"ink": "#f0f6fc", "soft": "#9198a1", "line": "#656c76", "box": "#151b23", "board": "#0c2d4d"},
}


class Box(NamedTuple):
    """A rectangle with a title and lines below it, in pixels."""

    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...] = ()
    fill: str = "box"


class Arrow(NamedTuple):
    """A line from one point to another, with words near its middle: above it, or below where it leads back or up."""

    x1: int
    y1: int
    x2: int
    y2: int
    words: str = ""


BOXES = (
    Box(20, 20, 220, 54, "firmware", ("an ESP32, a PLC, a script",)),
    Box(20, 92, 220, 54, "people", ("edge ask, a page in a browser",)),
    Box(20, 164, 220, 54, "home automation", ("whatever speaks MQTT",)),
    Box(330, 92, 170, 54, "MQTT broker", ("yours, or the built-in",)),
    Box(640, 12, 310, 214, "the board", ("Raspberry Pi, Jetson, any small Linux box",), "board"),
    Box(660, 66, 270, 66, "edge serve", ("queue, journal on disk, telemetry:", "nothing accepted is lost")),
    Box(
        660,
        150,
        270,
        66,
        "engine, a process of its own",
        ("INT4 model on onnxruntime,", "several answers grow at once"),
    ),
    Box(20, 256, 220, 56, "a model", ("Hugging Face folder or GGUF",)),
    Box(330, 256, 170, 56, "edge-export", ("a workstation, once",)),
)
ARROWS = (
    Arrow(240, 47, 328, 104),
    Arrow(240, 119, 328, 119),
    Arrow(240, 191, 328, 134),
    Arrow(500, 108, 658, 92, "prompt"),
    Arrow(658, 112, 502, 130, "answer, as it grows"),
    Arrow(795, 132, 795, 148),
    Arrow(240, 284, 328, 284),
    Arrow(500, 284, 638, 200, "bundle, checked and measured"),
)


def main() -> None:
    """Write both."""
    for name in THEMES:
        (FOLDER / f"edge-{name}.svg").write_text(drawn(name), encoding="utf-8")


def drawn(theme: str) -> str:
    """The picture in one theme's colours."""
    colours = THEMES[theme]
    parts = [*(box(each, colours) for each in BOXES), *(arrow(each, colours) for each in ARROWS)]
    return "\n".join([head(colours), *parts, "</svg>\n"])


def head(colours: dict[str, str]) -> str:
    """Size, title and the arrow's tip."""
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"
 font-family="system-ui, sans-serif" font-size="13">
<title>Devices and people ask over MQTT; the board answers from a model that edge-export has made</title>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 8 4 0 8z" fill="{colours["line"]}"/></marker></defs>"""


def box(each: Box, colours: dict[str, str]) -> str:
    """A rectangle and its words."""
    shape = f'<rect x="{each.x}" y="{each.y}" width="{each.width}" height="{each.height}" rx="8"'
    drawn_box = f'{shape} fill="{colours[each.fill]}" stroke="{colours["line"]}"/>'
    words = [text(each.x + 12, each.y + 22, each.title, colours["ink"], ' font-weight="600"')]
    words += [text(each.x + 12, each.y + 40 + 16 * n, line, colours["soft"]) for n, line in enumerate(each.lines)]
    return "\n".join([drawn_box, *words])


def arrow(each: Arrow, colours: dict[str, str]) -> str:
    """A line with a tip; its words are above its middle."""
    line = f'<path d="M{each.x1} {each.y1} {each.x2} {each.y2}" stroke="{colours["line"]}" stroke-width="1.5"'
    middle = (each.x1 + each.x2) // 2, (each.y1 + each.y2) // 2
    if each.x2 < each.x1:
        x, y, anchor = middle[0] - 14, middle[1] + 24, "middle"
    elif each.y1 - each.y2 > 40:
        x, y, anchor = each.x1 + 50, each.y1 + 4, "start"
    else:
        x, y, anchor = middle[0], middle[1] - 10, "middle"
    words = text(x, y, each.words, colours["soft"], f' text-anchor="{anchor}"')
    return f'{line} marker-end="url(#tip)"/>' + (f"\n{words}" if each.words else "")


def text(x: int, y: int, words: str, colour: str, more: str = "") -> str:
    """Words at a place."""
    return f'<text x="{x}" y="{y}" fill="{colour}"{more}>{escape(words)}</text>'


if __name__ == "__main__":
    main()
