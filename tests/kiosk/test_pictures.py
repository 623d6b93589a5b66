"""Asking about a picture: from a file, made small, its cost told before."""

from __future__ import annotations

import base64
import io
import json

from PIL import Image

from tests.clients import User
from tests.conftest import wait_until
from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
LIMITS = {"EDGE_LIMITS__MAX_TOKENS": "8"}


def photograph(folder, size=(3000, 2000)):
    """A picture as a camera makes it."""
    path = folder / "photograph.png"
    Image.linear_gradient("L").resize(size).convert("RGB").save(path)
    return path


def test_a_picture_is_asked_about(vision_bundle, pages, tmp_path):
    """The board that sees is asked with a small JPEG; the second one's seconds are told before."""
    path = photograph(tmp_path)
    with box(tmp_path, vision_bundle, **LIMITS) as here, User(here.port, "edge/test/request/#") as beside:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready()
        visitor.part("picture-add").wait_for()
        visitor.part("picture-file").set_input_files(path)
        visitor.part("picture-preview").wait_for()
        visitor.ask("What is this?").answered()
        assert visitor.answer_state == "done"
        assert visitor.page.locator(".turn-picture").is_visible()
        sent = json.loads(beside.next().payload)["messages"][-1]["content"]
        picture = picture_in(sent)
        assert picture.format == "JPEG"
        assert max(picture.size) <= 1344
        assert abs(picture.width / picture.height - 1.5) < 0.02
        visitor.page.wait_for_timeout(1500)
        visitor.part("picture-file").set_input_files(path)
        visitor.part("picture-cost").filter(has_text="This picture will take about").wait_for()
        visitor.part("picture-remove").click()
        visitor.wait_gone("[data-part=picture-preview]")


def test_a_picture_is_taken(vision_bundle, pages, tmp_path):
    """By the camera, which is off afterwards."""
    with box(tmp_path, vision_bundle, **LIMITS) as here, User(here.port, "edge/test/request/#") as beside:
        here.wait_online()
        visitor = pages(permissions=["camera"]).open(here.url).wait_ready()
        visitor.part("picture-add").click()
        visitor.part("picture-camera").click()
        visitor.part("picture-take").click()
        visitor.part("picture-preview").wait_for()
        wait_until(lambda: visitor.page.evaluate("document.querySelector('video').srcObject") is None, 10)
        visitor.ask("What time is it?").answered()
        sent = json.loads(beside.next().payload)["messages"][-1]["content"]
        assert picture_in(sent).format == "JPEG"


def picture_in(parts):
    """The picture of a turn."""
    (url,) = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_a_file_that_is_no_picture_is_told_so(vision_bundle, pages, tmp_path):
    """In words, and nothing is asked."""
    path = tmp_path / "words.png"
    path.write_text("no picture")
    with box(tmp_path, vision_bundle, **LIMITS) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready()
        visitor.part("picture-file").set_input_files(path)
        visitor.wait_says("This file is not a picture that can be read here.")
        visitor.wait_gone("[data-part=picture-preview]")


def test_a_board_without_eyes_is_offered_no_picture(pages, tmp_path):
    """There is nothing to touch."""
    with box(tmp_path) as here:
        here.wait_online()
        assert not pages().open(here.url).wait_ready().part("picture-add").is_visible()
