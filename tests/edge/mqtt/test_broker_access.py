"""Passwords and access lists in Mosquitto's formats: made by its own program, and decided as it decides."""

from __future__ import annotations

import contextlib
import hashlib
import queue
import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import mqtt5
import pytest

from edge.errors import ConfigError
from edge.mqtt.broker.acl import read_acl
from edge.mqtt.broker.passwords import read_passwords
from tests.clients import V5, V311, User
from tests.conftest import EDGE, ROOT, embedded_broker, mosquitto, running
from tests.edge.mqtt.raw import Raw, log_of

pytestmark = pytest.mark.slow

FAILED = 0x80
BAD_PASSWORD, NOT_AUTHORIZED, CLIENT_ID_NOT_VALID = 0x86, 0x87, 0x85
NAMES = ("board", "me", "eve", "admin", "Ünï", "two words")
ACL = """\
# a comment, and an empty line

topic read public/#
topic deny public/secret

user admin
topic #
topic readwrite $weird/#

user me
topic write own/me/out
topic read own/me/+
topic deny own/me/never
topic readwrite both ways/#
  topic read indented/#

user eve
topic read a/+/c
topic deny a/b/c
pattern read reply/%u/#
pattern write from/%c/%u
pattern deny reply/eve/hidden
pattern readwrite id/%c
"""
CASES = [
    *((user, topic) for user in (None, "admin", "me", "eve", "two words") for topic in ("public/x", "public/secret")),
    *(("me", f"own/me/{name}") for name in ("out", "in", "never", "x/y")),
    *(("me", topic) for topic in ("both ways", "both ways/x", "indented/x", "reply/me", "reply/me/x", "reply/eve")),
    *(("eve", f"a/{name}/c") for name in ("b", "x")),
    *(("eve", topic) for topic in ("reply/eve/hidden", "reply/eve/x", "from/c-eve/eve", "from/c-me/me", "id/c-eve")),
    *((user, topic) for user in ("admin", None) for topic in ("$weird/x", "$SYS/x", "id/c-admin", "id/c-None", "x")),
    *((user, topic) for user in ("two words", "Ünï") for topic in (f"reply/{user}/x", f"from/c-{user}/{user}")),
]
SHIPPED = [
    *(("board", f"edge/{name}/{kind}") for name in ("board", "other") for kind in ("status", "reply/me", "request/me")),
    *(("me", f"edge/board/{kind}") for kind in ("request/me", "request/eve", "cancel/me", "chunk/me", "reply/me")),
    *(("me", f"edge/board/{kind}/{name}") for kind in ("forget", "rating") for name in ("me", "eve")),
    *(("me", f"edge/board/{kind}") for kind in ("reply/eve", "status", "info", "telemetry", "request")),
    *(("eve", topic) for topic in ("answers/eve/1", "answers/me/1", "response/eve", "edge/hall/request/eve")),
    *((user, topic) for user in ("board", "eve") for topic in ("answers/x", "edge/eve/status", "homeassistant/x")),
]


def passwords(folder: Path, *options: str, names: tuple[str, ...] = NAMES) -> Path:
    """A password file by Mosquitto's own program, NAME-secret for each name."""
    path = folder / "passwords"
    path.touch()
    program = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
    for name in names:
        subprocess.run([program, *options, "-b", str(path), name, f"{name}-secret"], check=True)
    return path


def at(port: int, user: str | None, *topics: str, password: str | None = None, **options: object) -> User:
    """A paho client under a name."""
    made = User(port, *topics, **{"client_id": f"c-{user}", **options})
    if user is not None:
        made.client.username_pw_set(user, password or f"{user}-secret")
    return made


def files(folder: Path, acl: str, *extra: str) -> list[str]:
    """The embedded broker's options."""
    (folder / "acl").write_text(acl)
    return [f"--password-file={passwords(folder)}", f"--acl-file={folder / 'acl'}", *extra]


@pytest.mark.mosquitto
@pytest.mark.parametrize("options", [(), ("-H", "sha512")], ids=["pbkdf2", "sha512"])
def test_mosquittos_hashes_are_read(tmp_path, options):
    """Both kinds; a right password is right, a wrong one, an empty one and an unknown user are not."""
    path = passwords(tmp_path, *options)
    assert path.read_text().split(":")[1][:3] == ("$6$" if options else "$7$")
    known = read_passwords(path)
    for name in NAMES:
        assert known.verify(name, f"{name}-secret".encode())
        for wrong in (b"", b"guess", f"{name}-secret ".encode()):
            assert not known.verify(name, wrong)
    assert not known.verify("nobody", b"nobody-secret")
    assert not known.verify("", b"")


SALT, DIGEST = b64encode(bytes(12)).decode(), b64encode(hashlib.sha512(bytes(12)).digest()).decode()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("plain", "not USER:HASH"),
        (":x", "not USER:HASH"),
        ("a:plain", "neither a $7$ nor a $6$ hash"),
        ("a:", "neither a $7$ nor a $6$ hash"),
        (f"a:$7$0${SALT}${DIGEST}", "'0' iterations"),
        (f"a:$7$99999999999${SALT}${DIGEST}", "iterations"),
        (f"a:$7$x${SALT}${DIGEST}", "'x' iterations"),
        (f"a:$6$***${DIGEST}", "not Base64"),
        (f"a:$6${SALT}${SALT}", "cut off"),
        ("a:$argon2id$v=19$x$y$z", "neither a $7$ nor a $6$ hash"),
        (f"ok:$6${SALT}${DIGEST}", "twice"),
        (b"\xff:x", "not UTF-8"),
    ],
)
def test_a_bad_password_file_names_its_line(tmp_path, line, says):
    """And ends the broker with 78; the line's hash is not repeated."""
    path = tmp_path / "passwords"
    data = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(f"# users\n\nok:$6${SALT}${DIGEST}\n".encode() + data + b"\n")
    with pytest.raises(ConfigError) as error:
        read_passwords(path)
    assert str(error.value).startswith(f"{path}:4: ")
    assert says in str(error.value)
    assert DIGEST not in str(error.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("topic", "no topic filter"),
        ("user", "user without a name"),
        ("topic both a/b", "'both' is neither"),
        ("topic with a space", "'with' is neither"),
        ("topic read a/#/b", "no topic filter"),
        ("pattern write a+", "no topic filter"),
        ("topics read a", "'topics' is neither"),
        ("  # indented", "'#' is neither"),
    ],
)
def test_a_bad_access_list_names_its_line(tmp_path, line, says):
    """What Mosquitto refuses to start with is refused, with file, line and what is wrong."""
    path = tmp_path / "acl"
    path.write_text(f"# list\ntopic read a\n{line}\n")
    with pytest.raises(ConfigError, match=f"^{path}:3: .*{says}"):
        read_acl(path)


@pytest.mark.parametrize("option", ["--password-file", "--acl-file"])
def test_the_broker_ends_with_78(tmp_path, option):
    """For a file that is not there and for one that is wrong, in a line without a traceback."""
    wrong = tmp_path / "wrong"
    wrong.write_text("nonsense\n")
    for path, says in ((wrong, f"{wrong}:1: "), (tmp_path / "none", "none cannot be read: No such file")):
        command = [*EDGE, "broker", "--port=0", f"{option}={path}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=30)
        assert (done.returncode, says in done.stderr, done.stderr.count("\n")) == (78, True, 1), done.stderr


@pytest.mark.mosquitto
def test_who_comes_in(tmp_path):
    """A right password; not a wrong one, not an unknown user, nobody without a name. Both versions have their codes."""
    with embedded_broker(tmp_path, extra=[f"--password-file={passwords(tmp_path)}"]) as port:
        for protocol in (V5, V311):
            with at(port, "me", protocol=protocol) as me:
                assert not me.connack.is_failure
            for name, password, code in (("me", "guess", BAD_PASSWORD), ("nobody", "x", BAD_PASSWORD)):
                with at(port, name, password=password, protocol=protocol) as refused:
                    assert refused.connack.value == code
            with at(port, None, protocol=protocol) as nameless:
                assert nameless.connack.value == NOT_AUTHORIZED
        with Raw(port, "x", username="me") as bare:
            assert int(bare.connack.reason_code) == BAD_PASSWORD
    assert "user name or password is wrong (user 'nobody')" in log_of(tmp_path)
    assert "guess" not in log_of(tmp_path)


@pytest.mark.mosquitto
def test_logins_hold_up_nobody(tmp_path):
    """While twenty wrong passwords with slow hashes are checked, who is connected is served."""
    path = passwords(tmp_path, "-I", "200000", names=("me",))
    with embedded_broker(tmp_path, extra=[f"--password-file={path}", "--allow-anonymous"]) as port:
        guesses = [Raw(port) for _ in range(20)]
        with Raw(port, "bystander") as bystander:
            for number, guess in enumerate(guesses):
                guess.send(mqtt5.ConnectPacket(f"g{number}", username="me", password=b"guess"))
            for _ in range(100):
                bystander.ping()
            answered = [guess for guess in guesses if _has_answer(guess)]
            assert len(answered) < len(guesses)
            assert {int(guess.next().reason_code) for guess in guesses} == {BAD_PASSWORD}
        for guess in guesses:
            guess.socket.close()


def _has_answer(raw: Raw) -> bool:
    raw.socket.setblocking(False)
    try:
        raw.socket.recv(1, 2)  # MSG_PEEK
    except BlockingIOError:
        return False
    finally:
        raw.socket.settimeout(20)
    return True


# --- decided as Mosquitto decides ---


def decisions(port: int, cases: list[tuple[str | None, str]]) -> dict[tuple[str | None, str, str], bool]:
    """Of each case, whether the user may write (its PUBACK says so) and read (it is sent what the admin publishes)."""
    found: dict[tuple[str | None, str, str], bool] = {}
    with at(port, "admin", client_id="the publisher") as admin:
        for user in dict.fromkeys(user for user, _ in cases):
            topics = [topic for other, topic in cases if other == user]
            with at(port, user) as client:
                for topic in topics:
                    mid = client.publish(topic, "written")
                    found[user, topic, "write"] = client.acks[mid].value < FAILED
                client.client.subscribe([("#", 1), ("$weird/#", 1), ("$SYS/x", 1)])
                client.granted.get(timeout=10)
                for topic in topics:
                    admin.publish(topic, "read")
                heard = _heard(client)
                found |= {(user, topic, "read"): topic in heard for topic in topics}
    return found


def _heard(client: User) -> set[str]:
    """The topics of what comes."""
    topics = set()
    with contextlib.suppress(queue.Empty):
        while True:
            topics.add(client.next(0.5).topic)
    return topics


@pytest.mark.mosquitto
@pytest.mark.parametrize("which", ["own", "shipped"])
def test_a_table_of_cases_is_decided_as_mosquitto_decides(tmp_path, which):
    """The same two files at both brokers: who may write and read what, patterns, denials, $ topics and all."""
    shipped = (ROOT / "deploy/mosquitto/acl.conf").read_text() + "user admin\ntopic #\ntopic $weird/#\n"
    acl, cases = (ACL, CASES) if which == "own" else (shipped, SHIPPED)
    options = files(tmp_path, acl, "--allow-anonymous")
    with embedded_broker(tmp_path, extra=options) as port:
        ours = decisions(port, cases)
    config = f"password_file {tmp_path / 'passwords'}\nacl_file {tmp_path / 'acl'}\n"
    with mosquitto(tmp_path, config=config) as port:
        theirs = decisions(port, cases)
    assert ours == theirs
    assert len(set(ours.values())) == 2


@pytest.mark.mosquitto
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_may_not_be_read_or_written(tmp_path, qos):
    """SUBSCRIBE is refused with 0x87 (0x80 in 3.1.1) where nothing in the filter may be read, PUBLISH with 0x87."""
    with embedded_broker(tmp_path, extra=files(tmp_path, ACL)) as port:
        for protocol, code in ((V5, NOT_AUTHORIZED), (V311, 0x80)):
            with at(port, "me", protocol=protocol) as me:
                wanted = ["own/me/in", "own/me/never", "own/eve/in", "own/#", "reply/+/x", "#", "reply/eve/x"]
                me.client.subscribe([(topic, qos) for topic in wanted])
                assert me.granted.get(timeout=10) == [qos, code, code, qos, qos, qos, code]
        with at(port, "me", protocol=V5) as me, at(port, "admin", "#") as admin:
            mid = me.publish("own/eve/in", "x", qos=qos)
            assert qos != 1 or me.acks[mid].value == NOT_AUTHORIZED
            me.publish("own/me/out", "y", qos=qos)
            assert admin.next().payload == b"y"
    assert "client 'c-me' may not publish on 'own/eve/in'" in log_of(tmp_path)


@pytest.mark.mosquitto
def test_retained_messages_and_wills_are_held_to_the_list(tmp_path):
    """A retained message goes to who may read it alone; a Will that may not be published is not, and it is said."""
    with embedded_broker(tmp_path, extra=files(tmp_path, ACL)) as port, at(port, "admin", "own/#", "from/#") as admin:
        for topic in ("own/me/in", "own/me/never", "own/eve/in"):
            admin.publish(topic, topic, retain=True)
        with at(port, "me", "#") as me:
            assert me.next().topic == "own/me/in"
            assert me.nothing()
        for topic in ("own/me/in", "own/me/out"):
            lost = at(port, "me", will=(topic, b"gone", 1, False))
            lost.__enter__()
            lost.vanish()
        heard = []
        while not heard or heard[-1] != ("own/me/out", b"gone"):
            message = admin.next()
            heard.append((message.topic, message.payload))
        assert ("own/me/in", b"gone") not in heard
    assert "client 'c-me' may not publish its Will" in log_of(tmp_path)


# --- client ids ---


@pytest.mark.mosquitto
def test_a_session_is_its_users(tmp_path):
    """With passwords, another user's CONNECT with a known client id is refused, awake or asleep; its own goes on."""
    with embedded_broker(tmp_path, extra=[f"--password-file={passwords(tmp_path)}"]) as port:
        kept = {"client_id": "edge-board", "clean": False, "expiry": 60}
        with at(port, "board", "x", **kept) as board, at(port, "eve", **kept) as eve:
            assert eve.connack.value == CLIENT_ID_NOT_VALID
            board.publish("x", "still here")
            assert board.next().payload == b"still here"
        for clean in (True, False):
            with at(port, "eve", **{**kept, "clean": clean}) as eve:
                assert eve.connack.value == CLIENT_ID_NOT_VALID
        with at(port, "board", **kept) as board:
            assert board.session_present
    assert "client id 'edge-board' is user 'board's" in log_of(tmp_path).replace("''s", "'s")


def test_take_overs_are_told_and_their_chase_once(tmp_path):
    """Without passwords: each with both addresses, and in a line of its own once two clients chase each other."""
    with embedded_broker(tmp_path) as port:
        last, addresses = None, []
        for _ in range(12):
            raw = Raw(port, "same")
            addresses.append("{}:{}".format(*raw.socket.getsockname()))
            if last:
                assert last.last() == 0x8E
                last.socket.close()
            last = raw
        last.socket.close()
    log = log_of(tmp_path)
    assert f"client 'same' at {addresses[1]} takes over from {addresses[0]}" in log
    assert log.count("two clients with this id") == 1


def test_an_assigned_client_id_cannot_be_guessed(tmp_path):
    """Nobody takes an anonymous client's place by counting."""
    with embedded_broker(tmp_path) as port:
        names = [Raw(port, "").connack.assigned_client_id for _ in range(3)]
    assert len({name[:-4] for name in names}) == 3
    assert all(len(name) > 16 for name in names)


@pytest.mark.mosquitto
def test_a_daemon_works_behind_the_shipped_list(tmp_path):
    """The embedded broker with passwords and deploy/mosquitto/acl.conf: an asker is answered, eve hears nothing."""
    acl = (ROOT / "deploy/mosquitto/acl.conf").read_text()
    with embedded_broker(tmp_path, extra=files(tmp_path, acl)) as port:
        settings = {
            "EDGE_DEVICE": "board",
            "EDGE_BROKER__PORT": str(port),
            "EDGE_BROKER__USERNAME": "board",
            "EDGE_BROKER__PASSWORD": "board-secret",
            "EDGE_JOURNAL__FOLDER": str(tmp_path / "state"),
        }
        with (
            running([sys.executable, "-m", "edge.testing"], tmp_path / "daemon.log", settings),
            at(port, "me", "edge/board/reply/me") as me,
            at(port, "eve", "edge/#") as eve,
        ):
            me.wait_online("board")
            me.publish("edge/board/request/me", {"prompt": "x", "id": "q"})
            assert me.answer(name="q")[1]["text"] == "word word "
            while not eve.nothing(0.5):
                pass
            eve.client.subscribe("edge/board/reply/me", 1)
            assert eve.granted.get(timeout=10) == [NOT_AUTHORIZED]
