"""The process that reads documents: paths on standard input, their pieces on standard output, a line of JSON each.

Files are strangers' and their formats are old, so that whoever reads them has little to lose: this process can be
ended at any file, has bounds of memory and time, and writes nothing. `reading.py` starts it and asks.
"""

from __future__ import annotations

import json
import os
import resource
import stat
import sys
from collections.abc import Callable
from typing import Any

from edge.documents.cutting import cut
from edge.documents.encodings import decoded
from edge.documents.folder import FILE_BYTES_MAX
from edge.documents.parts import Document
from edge.documents.plain import markdown, plain
from edge.documents.web import html

MEMORY_BYTES_MAX = 1 << 30
DOCUMENT_PIECES_MAX = 50_000
TEXTS: dict[str, Callable[[str], Document]] = {"plain": plain, "markdown": markdown, "html": html}
EXTRA = "PDF needs the extra `documents`: pip install 'edge-slm[documents]'"


def main() -> None:
    """Answer until standard input ends."""
    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES_MAX), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (most, most))
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(answer(asked["path"], asked["kind"]), ensure_ascii=True), flush=True)


def answer(path: str, kind: str) -> dict[str, Any]:
    """`title`, `guess` and `pieces`, each of a heading, a page and a text; or `why` it is not to be had."""
    try:
        data = _data(path)
        document, guess = _document(data, kind)
        pieces = [(each.heading, each.page, each.text) for each in cut(document)]
    except (ValueError, ImportError) as error:
        return {"why": str(error)[:300]}
    except OSError as error:
        return {"why": error.strerror or "cannot be read"}
    except MemoryError:
        return {"why": f"reading it takes more than {MEMORY_BYTES_MAX >> 20} MiB"}
    except Exception as error:  # Python's own reader of HTML asserts what strangers do not keep to
        return {"why": f"damaged: its reader says {type(error).__name__}: {error}"[:300]}
    if not pieces:
        return {"why": "no text in it"}
    if len(pieces) > DOCUMENT_PIECES_MAX:
        return {"why": f"{len(pieces)} pieces; {DOCUMENT_PIECES_MAX} of a document at most"}
    return {"title": document.title, "guess": guess, "pieces": pieces}


def _data(path: str) -> bytes:
    """A regular file's bytes; not those of a pipe that somebody has put there meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("no regular file")
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ValueError(f"more than {FILE_BYTES_MAX >> 20} MiB")
    return data


def _document(data: bytes, kind: str) -> tuple[Document, str]:
    if kind == "pdf":
        try:
            from edge.documents.pdf import pdf
        except ModuleNotFoundError as error:
            raise ImportError(EXTRA) from error
        return pdf(data), ""
    text, guess = decoded(data, is_page=kind == "html")
    return TEXTS[kind](text), guess


if __name__ == "__main__":
    main()
