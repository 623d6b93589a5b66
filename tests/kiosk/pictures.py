"""`python -m tests.kiosk.pictures`: the screenshots of docs/kiosk.md, out of those that test_screens.py has left."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.conftest import ROOT

TAKEN = ROOT / "build/kiosk"
SHOWN = ROOT / "docs/pictures"
COLOURS = 64
NAMES = {
    "answer": "answer-800x480-en",
    "keyboard": "keyboard-800x480-en",
    "staff": "staff-1280x720-en",
    "arabic": "ask-1280x720-ar-dark",
    "contrast": "answer-480x800-en-contrast",
}


def main() -> None:
    """Write them, with fewer colours."""
    for name, taken in NAMES.items():
        reduced(TAKEN / f"{taken}.png").save(SHOWN / f"kiosk-{name}.png", optimize=True)


def reduced(path: Path) -> Image.Image:
    """A screenshot with as many colours as it needs to look the same."""
    with Image.open(path) as picture:
        return picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main()
