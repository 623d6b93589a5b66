"""What a chart is drawn on: its own paper in SVG, light or dark as its reader has it, so that any page may have it."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Xml

WIDTH, MARGIN = 760, 24
STYLE = """
svg { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.paper { fill: #ffffff; stroke: #d0d7de; } .ink { fill: #1f2328; } .faint { fill: #59636e; }
.title { font-size: 17px; font-weight: 600; } .small { font-size: 12px; } .strong { font-weight: 600; }
.grid { stroke: #e1e6eb; } .one { stroke: #59636e; stroke-width: 1.5; } .bar { stroke: #1f2328; stroke-width: 2.5; }
.value { stroke: #ffffff; stroke-width: 4; stroke-linejoin: round; paint-order: stroke; }
.first { fill: #1f6fd0; } .second { fill: #d9822b; } .theirs { fill: #8b95a1; }
.path.path { fill: none; stroke-width: 1.5; stroke-dasharray: 5 4; }
.path.first { stroke: #1f6fd0; } .path.theirs { stroke: #8b95a1; }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117; stroke: #3d444d; } .ink { fill: #e6edf3; } .faint { fill: #9aa4b0; }
.grid { stroke: #262d36; } .one { stroke: #9aa4b0; } .bar { stroke: #e6edf3; }
.value { stroke: #0d1117; }
.first { fill: #58a6ff; } .second { fill: #f0a04b; } .theirs { fill: #7d8794; }
.path.first { stroke: #58a6ff; } .path.theirs { stroke: #7d8794; }
}
"""


class Paper:
    """What a chart is drawn on."""

    def __init__(self, height: float, title: str, alt: str) -> None:
        box = {"viewBox": f"0 0 {WIDTH} {height:g}", "width": f"{WIDTH}", "height": f"{height:g}", "role": "img"}
        self._root = Xml.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **box})
        for tag, words in (("title", title), ("desc", alt), ("style", STYLE)):
            Xml.SubElement(self._root, tag).text = words
        self.box(0.5, 0.5, WIDTH - 1, height - 1, "paper", round_by=8)
        self.words(MARGIN, 34, title, "ink title")

    def box(self, x: float, y: float, width: float, height: float, kind: str, round_by: float = 2) -> None:
        """A rectangle."""
        self._add("rect", kind, x=x, y=y, width=width, height=height, rx=round_by)

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A straight line."""
        self._add("line", kind, x1=start[0], y1=start[1], x2=end[0], y2=end[1])

    def dot(self, x: float, y: float, kind: str) -> None:
        """A filled circle."""
        self._add("circle", kind, cx=x, cy=y, r=5.5)

    def path(self, points: Sequence[tuple[float, float]], kind: str, is_whole: bool = False) -> None:
        """A line through points, dashed unless it is whole."""
        places = " ".join(f"{x:.4g},{y:.4g}" for x, y in points)
        style = {"style": "stroke-dasharray: none"} if is_whole else {}
        Xml.SubElement(self._root, "polyline", {"class": f"path {kind}", "points": places, **style})

    def words(self, x: float, y: float, words: str, kind: str, anchor: str = "start") -> None:
        """A line of text. anchor: which part of it lies at x."""
        self._add("text", kind, x=x, y=y).attrib["text-anchor"] = anchor
        self._root[-1].text = words

    def legend(self, entries: Sequence[tuple[str, str]], y: float = 58) -> None:
        """Kinds with their meanings, side by side."""
        x = float(MARGIN)
        for kind, meaning in entries:
            self.line((x + 6, y - 11), (x + 6, y + 1), kind) if kind == "bar" else self.box(x, y - 10, 12, 12, kind)
            self.words(x + 18, y, meaning, "faint")
            x += 44 + 7.2 * len(meaning)

    def text(self) -> str:
        """The file."""
        Xml.indent(self._root, "")
        return Xml.tostring(self._root, encoding="unicode") + "\n"

    def _add(self, tag: str, kind: str, **places: float) -> Xml.Element:
        numbers = {name: f"{place:.5g}" for name, place in places.items()}
        return Xml.SubElement(self._root, tag, {"class": kind, **numbers})
