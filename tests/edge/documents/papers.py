"""PDFs written by hand: pages of lines, an outline, and what a stranger may do to one."""

from __future__ import annotations

import zlib


def paper(pages: list[list[str]], outline: dict[str, int] | None = None, title: str = "") -> bytes:
    """A PDF of some pages, each of lines of ASCII. outline: headings and the pages, from 0, that they lead to."""
    numbers = [4 + 2 * place for place in range(len(pages))]
    kids = " ".join(f"{number} 0 R" for number in numbers)
    first = 4 + 2 * len(pages)
    entries = list((outline or {}).items())
    bodies = {
        1: f"<< /Type /Catalog /Pages 2 0 R {f'/Outlines {first} 0 R' if entries else ''} >>".encode(),
        2: f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    }
    for number, lines in zip(numbers, pages, strict=True):
        shown = "\n".join(f"({escaped(line)}) Tj T*" for line in lines)
        stream = zlib.compress(f"BT /F1 11 Tf 14 TL 72 770 Td\n{shown}\nET".encode("cp1252"))
        bodies[number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {number + 1} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        ).encode()
        bodies[number + 1] = streamed(stream)
    bodies |= outlined(entries, numbers, first)
    last = max(bodies) + 1
    bodies[last] = f"<< /Title ({escaped(title)}) >>".encode()
    return assembled(bodies, f"/Root 1 0 R /Info {last} 0 R")


def outlined(entries: list[tuple[str, int]], numbers: list[int], first: int) -> dict[int, bytes]:
    """The objects of an outline, from number `first` on."""
    if not entries:
        return {}
    last = first + len(entries)
    bodies = {first: f"<< /Type /Outlines /First {first + 1} 0 R /Last {last} 0 R /Count {len(entries)} >>".encode()}
    for place, (heading, page) in enumerate(entries, first + 1):
        after = f"/Next {place + 1} 0 R" if place < last else ""
        before = f"/Prev {place - 1} 0 R" if place > first + 1 else ""
        bodies[place] = (
            f"<< /Title ({escaped(heading)}) /Parent {first} 0 R {before} {after} /Dest [{numbers[page]} 0 R /Fit] >>"
        ).encode()
    return bodies


def streamed(data: bytes, filters: str = "/FlateDecode") -> bytes:
    """A stream, as an object's body."""
    return f"<< /Length {len(data)} /Filter [{filters}] >>\nstream\n".encode() + data + b"\nendstream"


def assembled(bodies: dict[int, bytes], trailer: str) -> bytes:
    """Objects with their table of places."""
    out, places = bytearray(b"%PDF-1.4\n"), {}
    for number, body in sorted(bodies.items()):
        places[number] = len(out)
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    begin, size = len(out), max(bodies) + 1
    out += f"xref\n0 {size}\n0000000000 65535 f \n".encode()
    for number in range(1, size):
        out += f"{places.get(number, 0):010} 00000 {'n' if number in places else 'f'} \n".encode()
    return bytes(out + f"trailer\n<< /Size {size} {trailer} >>\nstartxref\n{begin}\n%%EOF\n".encode())


def escaped(text: str) -> str:
    """As a string of a PDF has it."""
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def bomb(megabytes: int) -> bytes:
    """A page whose content takes some megabytes once it is inflated twice."""
    inner = zlib.compress(b"(lighthouse) Tj T*\n" * (megabytes * 55_000), 9)
    stream = zlib.compress(b"BT /F1 11 Tf 14 TL 72 770 Td\n", 9) if not inner else zlib.compress(inner, 9)
    return assembled(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
            3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            4: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>",
            5: streamed(stream, "/FlateDecode /FlateDecode"),
        },
        "/Root 1 0 R",
    )
