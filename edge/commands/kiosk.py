"""`edge kiosk`: the kiosk tried on this machine: a broker that hands out its page, the daemon, a browser."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import threading
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from edge.commands.connection import port
from edge.commands.demo import (
    DEVICE,
    broker_process,
    child,
    daemon_process,
    run_to_ctrl_c,
    serve_on,
    wait_until_online,
)
from edge.config import Broker
from edge.errors import DocumentsError, UsageError
from edge.mqtt.client import Client

PAGES = (Path(__file__).resolve().parents[2] / "deploy/kiosk/dist", Path("/usr/share/edge-slm-kiosk/page"))
"""Where the page lies: in a checkout, and where the package for Debian puts it."""
PAGE_PORT = 9001
NAME = "kiosk"
"""What the documents are called here: their index, and the end of their address."""
SUGGESTIONS = {
    "en": ["What is the capital of France?", "Why is the sky blue?", "What does a lighthouse do?"],
    "de": ["Was ist die Hauptstadt von Frankreich?", "Warum ist der Himmel blau?", "Wozu dient ein Leuchtturm?"],
}
"""What there is to touch on the first screen, where there are no documents to ask about."""
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bundle, which documents, which port, and whether to open a browser."""
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle to serve")
    parser.add_argument(
        "--documents", type=Path, metavar="FOLDER", help="answer from the texts of this folder, which the page opens"
    )
    parser.add_argument(
        "--port", type=port, default=PAGE_PORT, help="the page's port (default 9001); a free one where it is taken"
    )
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="another page, such as one that you have built")
    parser.add_argument("--no-browser", action="store_true", help="print the address alone")


def main(options: argparse.Namespace) -> int:
    """Show the kiosk; Ctrl-C ends it with exit status 0."""
    return run_to_ctrl_c(kiosk(options.bundle, _page(options.page), options.documents, options.port, options))


def _page(wanted: Path | None) -> Path:
    """The folder of the page; UsageError where there is none."""
    tried = PAGES if wanted is None else (wanted,)
    for folder in tried:
        if (folder / "index.html").is_file():
            return folder
    raise UsageError(f"--page: no index.html in {' or '.join(map(str, tried))}; name the folder of a page")


async def kiosk(bundle: Path, page: Path, documents: Path | None, wanted: int, options: argparse.Namespace) -> int:
    """Start the parts, say where the page is, serve until Ctrl-C. wanted: the page's port."""
    with tempfile.TemporaryDirectory(prefix="edge-kiosk-") as made:
        folder = Path(made)
        served = _served(folder, page, documents)
        async with (
            indexed(documents, folder, bundle) as changed,
            broker_process(1883, wanted, *served) as (broker, page_port),
            daemon_process(bundle, broker, **changed) as daemon,
        ):
            async with Client(Broker(port=broker), DEVICE) as client:
                await wait_until_online(client, daemon)
            address = f"http://127.0.0.1:{page_port}/"
            is_opened = not options.no_browser and _open(address)
            print(_told(address, page, is_opened), flush=True)
            await serve_on(daemon)
    return 0


def _served(folder: Path, page: Path, documents: Path | None) -> list[str]:
    """The broker's options: a kiosk.json of our own before the page's files, and the documents."""
    (folder / "page").mkdir()
    (folder / "page/kiosk.json").write_text(json.dumps(settings(documents is not None), ensure_ascii=False))
    options = [f"--serve=/={folder / 'page'}", f"--serve=/={page}"]
    return options if documents is None else [*options, f"--serve=/documents/{NAME}={documents}"]


def settings(has_documents: bool) -> dict[str, Any]:
    """What the page is told: whom to ask, and what to suggest."""
    if not has_documents:
        return {"device": DEVICE, "suggestions": SUGGESTIONS}
    return {"device": DEVICE, "documents": NAME, "documents_url": f"/documents/{NAME}/"}


@contextlib.asynccontextmanager
async def indexed(documents: Path | None, folder: Path, bundle: Path) -> AsyncIterator[dict[str, str]]:
    """The documents' index below a folder: the daemon's settings that lead to it. DocumentsError where it failed."""
    if documents is None:
        yield {}
        return
    into = folder / "documents"
    into.mkdir()
    arguments = ["documents", "add", str(documents), f"--name={NAME}", f"--into={into}", f"--bundle={bundle}"]
    async with child(arguments, {}, None) as adding:
        if await adding.wait():
            raise DocumentsError("the documents were not indexed; the lines above say why")
    yield {"EDGE_DOCUMENTS__FOLDER": str(into)}


def _open(address: str) -> bool:
    """Open a browser where there is a screen; whether one was asked to.

    In a thread, since some are waited for, which nobody waits for.
    """
    if not any(os.environ.get(name) for name in SCREENS):
        return False
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    return True


def _told(address: str, page: Path, is_opened: bool) -> str:
    where = "A browser opens" if is_opened else "Open in a browser"
    return f"""page      {page}

{where}: {address}

Ctrl-C ends it."""
