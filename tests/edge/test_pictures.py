"""Pictures over MQTT, at the real daemon with a small model that sees: good ones, bad ones, whole and in chunks."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator

import pytest

from edge.wire import chunks
from edge.wire.message import dumps
from tests.clients import V5, V311, User
from tests.conftest import EDGE, Daemon, embedded_broker, mosquitto, serving
from tests.pictures import PROMPT, encoded, kinds, photograph, sent

TOPICS = ("edge/test/reply/#", "edge/test/info")
KINDS = kinds()


@pytest.fixture(scope="module")
def daemon(vision_bundle, tmp_path_factory) -> Iterator[Daemon]:
    """Serving the small bundle over the embedded broker, with a folder of pictures of its own."""
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "camera").mkdir()
    (folder / "camera" / "latest.png").write_bytes(encoded(photograph(300, 300), "PNG"))
    (folder / "secret.png").write_bytes(encoded(photograph(300, 300), "PNG"))
    (folder / "camera" / "link.png").symlink_to(folder / "secret.png")
    with embedded_broker(folder) as port:
        settings = {"EDGE_LIMITS__PICTURE_FOLDER": str(folder / "camera")}
        with serving(vision_bundle, port, folder, **settings) as started, User(port) as user:
            user.wait_online()
            yield started


@pytest.fixture
def user(daemon) -> Iterator[User]:
    """A client of the daemon."""
    with User(daemon.port, *TOPICS) as connected:
        yield connected


@pytest.mark.parametrize("kind", KINDS)
def test_a_strange_picture_is_answered_or_refused_with_a_word(user, daemon, kind):
    """Each of fifteen kinds: the right number of tokens, or a fault that says what is wrong with it."""
    what = KINDS[kind]
    reply = sent(user, what)
    assert reply["code"] == what.code, reply
    if what.code == 200:
        assert reply["usage"]["picture_tokens"] == [what.tokens]
    else:
        assert what.says in reply["error"]["message"]
    assert daemon.process.poll() is None


def image(data: bytes, **options: object) -> dict:
    """A part of a turn."""
    url = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url, **options}}


def asked(user: User, *parts: dict, **fields: object) -> dict:
    """A turn with these parts, and a question; its terminal message."""
    content = [*parts, {"type": "text", "text": PROMPT}]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 4, "stream": False, **fields}
    user.send("edge/test/request/me", body)
    return user.answer(20)[1]


SMALL = encoded(photograph(64, 64))


def test_several_pictures_in_the_openai_apis_form(user):
    """Each costs what its detail says, and is told apart from the others."""
    parts = [image(SMALL, detail="low"), image(SMALL), image(SMALL, detail="low"), image(SMALL, max_crops=2)]
    assert asked(user, *parts)["usage"]["picture_tokens"] == [313, 757, 313, 313]


def test_the_budget_is_counted_before_a_request_waits(user):
    """Pictures that may take more than the context are refused with both figures; with less detail they fit."""
    parts = [image(SMALL, detail="high")] * 2
    refused = asked(user, *parts)
    assert refused["code"] == 413
    assert "5306 tokens, but the context holds 4096" in refused["error"]["message"]
    assert asked(user, *[image(SMALL, detail="low")] * 9)["code"] == 200


def test_the_same_picture_again_is_not_read_again(user):
    """Its keys and values are found, as those of a text are."""
    fresh = encoded(photograph(90, 90, seed=7))
    first, second = (asked(user, image(fresh))["usage"] for _ in range(2))
    assert first["cached_tokens"] < 32
    assert second["cached_tokens"] > 700


def test_a_text_alone_is_answered(user):
    """By the model that sees as by any other, bare and as JSON."""
    user.publish("edge/test/request/me", {"prompt": "Hello", "max_tokens": 4})
    reply = user.answer(20)[1]
    assert reply["code"] == 200
    assert "picture_tokens" not in reply["usage"]


def test_what_stands_for_a_picture_cannot_be_said(user):
    """The template's own words for a picture in a text are a text."""
    user.publish("edge/test/request/me", {"prompt": "<|image_1|>\nWhat is this?", "max_tokens": 4})
    reply = user.answer(20)[1]
    assert reply["code"] == 200
    assert "picture_tokens" not in reply["usage"]


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        ("file:latest.png", 200, ""),
        ("file:none.png", 404, "none.png"),
        ("file:../secret.png", 400, "not in the folder"),
        ("file:link.png", 400, "not in the folder"),
        ("file:/etc/passwd", 400, "not in the folder"),
        ("file:", 404, "no file"),
        ("https://example.org/a.jpg", 400, "nothing is fetched"),
        ("data:image/jpeg;base64,@@@", 400, "base64"),
        ("data:image/gif;base64,R0lG", 400, "nothing is fetched"),
    ],
)
def test_a_picture_by_name_or_uri(user, url, code, says):
    """From the one folder that the operator names; nothing is fetched from anywhere."""
    reply = asked(user, {"type": "image_url", "image_url": {"url": url}})
    assert reply["code"] == code, reply
    assert says in (reply.get("error") or {"message": ""})["message"]


def test_pictures_in_other_turns_than_the_users_are_refused(user):
    """A system prompt or an answer has none."""
    body = {"messages": [{"role": "system", "content": [image(SMALL)]}, {"role": "user", "content": "x"}]}
    user.publish("edge/test/request/me", body)
    assert "only the user's turns" in user.answer()[1]["error"]["message"]


def test_a_picture_without_a_prompt_is_refused(user):
    """The user property that is missing is named."""
    user.publish("edge/test/request/me", SMALL, ContentType="image/jpeg")
    assert "`edge-prompt`" in user.answer()[1]["error"]["message"]


@pytest.mark.parametrize("protocol", [V5, V311], ids=["5", "3.1.1"])
@pytest.mark.parametrize("start", [embedded_broker, pytest.param(mosquitto, marks=pytest.mark.mosquitto)])
def test_chunks_come_through_either_broker_in_either_protocol(vision_bundle, tmp_path, start, protocol):
    """A request of half a megabyte, with user properties or in JSON; then once more, answered from the journal."""
    large = encoded(photograph(1200, 800), quality=97)
    content = [image(large), {"type": "text", "text": PROMPT}]
    payload = dumps({"messages": [{"role": "user", "content": content}], "id": "big", "max_tokens": 4})
    with (
        start(tmp_path) as port,
        serving(vision_bundle, port, tmp_path),
        User(port, *TOPICS, protocol=protocol) as user,
    ):
        user.wait_online()
        texts = []
        for upload in ("one", "two"):
            for data, properties in chunks.chunks(payload, upload, in_properties=protocol == V5):
                user.send("edge/test/chunk/me", data, **({"UserProperty": list(properties)} if properties else {}))
            reply = user.answer(20)[1]
            assert (reply["id"], reply["code"]) == ("big", 200)
            texts.append(reply["text"])
    assert texts[0] == texts[1]


def test_edge_ask_shows_a_picture(daemon, tmp_path):
    """The command sends it, in chunks where it is large, and prints what it cost; a file that is none is refused."""
    (tmp_path / "small.jpg").write_bytes(SMALL)
    (tmp_path / "large.jpg").write_bytes(encoded(photograph(1500, 1000), quality=97))
    (tmp_path / "page.jpg").write_bytes(b"<html>")
    command = [*EDGE, "ask", PROMPT, "--device=test", "--max-tokens=4", "--verbose", "--detail=low"]
    env = {"PATH": "/usr/bin:/bin", "EDGE_BROKER__PORT": str(daemon.port)}
    files = [f"--image={tmp_path / name}" for name in ("small.jpg", "large.jpg")]
    done = subprocess.run([*command, *files], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert "(626 of pictures)" in done.stderr
    refused = subprocess.run([*command, f"--image={tmp_path / 'page.jpg'}"], env=env, capture_output=True, text=True)
    assert refused.returncode == 78
    assert "page.jpg is none of image/jpeg" in refused.stderr


def test_a_board_that_only_reads_says_so(bundle, tmp_path):
    """415, and the next text is answered."""
    with embedded_broker(tmp_path) as port, serving(bundle, port, tmp_path), User(port, *TOPICS) as user:
        user.wait_online()
        reply = asked(user, image(SMALL))
        assert (reply["code"], "reads text alone" in reply["error"]["message"]) == (415, True)
        user.publish("edge/test/request/me", {"prompt": "Hi", "max_tokens": 2})
        assert user.answer()[1]["code"] == 200


def test_the_board_tells_that_it_sees(user):
    """Capability and limits are in its retained info."""
    info = json.loads(user.next().payload)
    assert "vision" in info["capabilities"]
    assert (info["crops_max"], info["picture_bytes"], info["rows"]) == (16, 8 << 20, 8)


def test_a_grown_engine_is_started_anew_and_telemetry_says_so(vision_bundle, tmp_path):
    """With no growth allowed, the engine ends after its first picture, and another answers the next."""
    settings = {"EDGE_ENGINE__GROWTH_BYTES": "0", "EDGE_TELEMETRY__PERIOD_SECONDS": "0.2"}
    with embedded_broker(tmp_path) as port, serving(vision_bundle, port, tmp_path, **settings), User(port) as user:
        user.wait_online()
        user.client.subscribe([(topic, 1) for topic in (*TOPICS, "edge/test/telemetry")])
        for _ in range(2):
            assert asked(user, image(SMALL))["code"] == 200
        while (message := user.next()).topic != "edge/test/telemetry":
            continue
        reading = json.loads(message.payload)["inference"]
        assert reading["engine_recycled"] >= 1
        assert reading["engine_restarts"] == 0


def test_a_refused_upload_has_one_reply(user):
    """However many of its chunks are still on their way."""
    assert sent(user, KINDS["chunk missing"])["code"] == 400
    assert user.nothing(0.5)
    assert sent(user, KINDS["chunk twice"])["code"] == 200
