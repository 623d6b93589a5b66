"""The shipped broker configuration with a real broker: TLS, names, and one identity that tries to be another."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import User
from tests.conftest import ROOT, free_port, manager, running, wait_for_port, wait_until
from tests.forging import ATTEMPTS

pytestmark = pytest.mark.mosquitto
NAMES = ("test", "me", "eve")
NOT_AUTHORIZED = 0x87
OF_ME = ("edge/test/reply/me", "answers/me/#", "reply/me/#", "response/me/#")
DEBIAN = "persistence true\npersistence_location {folder}/\nlog_dest stderr\ninclude_dir {folder}/conf.d\n"
"""What Debian's own mosquitto.conf says around the shipped one; neither may say again what the other has said."""


def openssl(*arguments: str) -> None:
    """A step of making certificates."""
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Certificates of a CA of our own, passwords, and the shipped files, with the lines for a board at their end."""
    folder = tmp_path_factory.mktemp("broker")
    certificates = folder / "certs"
    certificates.mkdir()
    ca, key = str(certificates / "ca.crt"), str(certificates / "ca.key")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", key, "-out", ca)
    made, request = str(certificates / "broker.key"), str(certificates / "broker.csr")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", made, "-out", request)
    names = certificates / "names"
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    signed = str(certificates / "broker.crt")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-out", signed, "-extfile", str(names))
    (folder / "edge.passwd").touch(mode=0o600)
    program = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
    for name in NAMES:
        subprocess.run([program, "-b", str(folder / "edge.passwd"), name, f"{name}-secret"], check=True)
    lists = (ROOT / "deploy/mosquitto/acl.conf").read_text()
    lines = [line.removeprefix("# ") for line in lists.splitlines() if line.startswith(("# user", "# topic write"))]
    (folder / "edge.acl").write_text("\n".join([lists, *lines]).replace("user board", "user test") + "\n")
    return folder


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """Mosquitto with the shipped configuration, and the daemon of device `test` behind it."""
    port = free_port()
    text = (ROOT / "deploy/mosquitto/edge.conf").read_text()
    text = text.replace("listener 8883", f"listener {port} 127.0.0.1").replace("/etc/mosquitto", str(folder))
    (folder / "conf.d").mkdir()
    (folder / "conf.d/edge.conf").write_text(text)
    config = folder / "mosquitto.conf"
    config.write_text(f"user root\n{DEBIAN.format(folder=folder)}")
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "broker_username").write_text("test\n")
    (credentials / "broker_password").write_text("test-secret\n")
    settings = {
        "EDGE_DEVICE": "test",
        "EDGE_BROKER__PORT": str(port),
        "EDGE_BROKER__TLS_CA": str(folder / "certs/ca.crt"),
        "CREDENTIALS_DIRECTORY": str(credentials),
        "EDGE_JOURNAL__FOLDER": str(folder / "state"),
    }
    with running([program, "-c", str(config)], folder / "broker.log"):
        wait_for_port(port)
        with running([sys.executable, "-m", "edge.testing"], folder / "daemon.log", settings):
            yield port


def user(port: int, folder: Path, name: str, *topics: str) -> User:
    """A client of that name, over TLS."""
    made = User(port, *topics)
    made.client.tls_set(str(folder / "certs/ca.crt"))
    made.client.username_pw_set(name, f"{name}-secret")
    return made


def test_an_asker_is_answered_and_another_hears_nothing(folder, port):
    """Over TLS, by credentials from systemd's folder; the one who listens to everything hears nobody's answers."""
    with user(port, folder, "me", "edge/test/reply/me") as me, user(port, folder, "eve", "edge/#", "answers/#") as eve:
        me.wait_online()
        me.publish("edge/test/request/me", {"prompt": "x", "id": "q"})
        assert me.answer(name="q")[1]["text"] == "word word "
        me.publish("edge/test/request/me", {"prompt": "x", "id": "r"}, ResponseTopic="answers/me/1")
        heard = set()
        while not eve.nothing(1):
            pass
        while not eve.inbox.empty():
            heard.add(eve.inbox.get().topic)
        assert heard <= {"edge/test/status", "edge/test/info", "edge/test/telemetry"}


def test_nobody_asks_in_anothers_name(folder, port):
    """Neither requests nor cancels nor answers under a name that is not one's own are taken."""
    with user(port, folder, "eve") as eve:
        for topic in ("edge/test/request/me", "edge/test/cancel/me", "edge/test/reply/me", "answers/me/1"):
            mid = eve.publish(topic, {"prompt": "x"})
            assert eve.acks[mid].value == NOT_AUTHORIZED


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=[attempt.name for attempt in ATTEMPTS])
def test_nobody_is_heard_as_another(folder, port, attempt):
    """Whatever eve sends, `me` hears nothing that it did not ask for, and its own request is answered."""
    with user(port, folder, "me", *OF_ME) as me, user(port, folder, "eve", "edge/test/reply/eve") as eve:
        eve.wait_online()
        seed = ATTEMPTS.index(attempt)  # so that no request is another's repeat
        me.publish("edge/test/request/me", {"prompt": "slow", "id": "mine", "stream": False, "seed": seed})
        eve.publish(attempt.topic, attempt.payload, retain=attempt.retain, **attempt.properties)
        eve.publish("edge/test/request/eve", {"prompt": "x", "id": "after", "stream": False, "seed": seed})
        while eve.answer(10)[1]["id"] != "after":
            pass
        assert (me.answer(10)[1]["code"], me.nothing()) == (200, True)
        eve.publish("edge/test/request/eve", b"", retain=True)


@pytest.mark.slow
def test_a_laptop_asks_by_its_command_line_alone(folder, port, tmp_path):
    """Broker, user, password and CA as options of `edge ask` and `edge status`, without a variable."""
    secret = tmp_path / "password"
    secret.write_text("me-secret\n")
    options = ["--device=test", f"--broker=127.0.0.1:{port}", f"--tls-ca={folder / 'certs/ca.crt'}", "--user=me"]
    edge = [sys.executable, "-m", "edge"]
    run = {"cwd": ROOT, "capture_output": True, "text": True, "check": False, "timeout": 60}
    asked = subprocess.run([*edge, "ask", *options, f"--password-file={secret}", "x"], **run)
    assert (asked.returncode, asked.stdout) == (0, "word word \n"), asked.stderr
    status = subprocess.run([*edge, "status", *options, f"--password-file={secret}", "--wait=1"], **run)
    assert "test is online" in status.stdout, status.stderr
    bench = [*edge, "bench", *options, f"--password-file={secret}", "--rounds=1", "--tokens=2"]
    measured = subprocess.run([*bench, "--clients", "2", "16"], **run)  # as one user, of whom eight may wait
    assert (measured.returncode, "[16] at once" in measured.stderr) == (0, True), measured.stderr
    secret.write_text("guess")
    refused = subprocess.run([*edge, "ask", *options, f"--password-file={secret}", "x"], **run)
    assert (refused.returncode, "refuses us" in refused.stderr) == (69, True), refused.stderr
    other = [each for each in options if "tls-ca" not in each] + ["--tls-ca=/etc/ssl/certs/ca-certificates.crt"]
    distrusted = subprocess.run([*edge, "ask", *other, f"--password-file={secret}", "x"], **run)
    assert (distrusted.returncode, "is not trusted" in distrusted.stderr) == (69, True), distrusted.stderr
    missing = subprocess.run([*edge, "ask", *options, "--password-file=/nowhere", "x"], **run)
    assert (missing.returncode, "/nowhere cannot be read" in missing.stderr) == (78, True)


def test_without_its_certificate_the_broker_is_not_trusted(folder, port, tmp_path):
    """A client that trusts another CA does not connect; neither does one without TLS or with a wrong password."""
    other = User(port)
    other.client.tls_set(ssl.get_default_verify_paths().openssl_cafile)
    with pytest.raises(ssl.SSLError), other:
        pass
    wrong = user(port, folder, "me")
    wrong.client.username_pw_set("me", "guess")
    with wrong:
        assert wrong.connack.is_failure


def daemon_settings(port: int, folder: Path, tmp_path: Path) -> dict[str, str]:
    """Of a second daemon, with a wrong password."""
    return {
        "EDGE_DEVICE": "test2",
        "EDGE_BROKER__PORT": str(port),
        "EDGE_BROKER__USERNAME": "test",
        "EDGE_BROKER__PASSWORD": "guess",
        "EDGE_BROKER__TLS_CA": str(folder / "certs/ca.crt"),
        "EDGE_JOURNAL__FOLDER": str(tmp_path),
    }


def test_a_daemon_with_a_ca_that_is_no_file_ends(folder, port, tmp_path):
    """With 78 and the setting's name."""
    settings = {**daemon_settings(port, folder, tmp_path), "EDGE_BROKER__TLS_CA": "/nowhere.crt"}
    with running([sys.executable, "-m", "edge.testing"], tmp_path / "log", settings) as daemon:
        assert daemon.wait(20) == 78
    assert "broker.tls_ca" in (tmp_path / "log").read_text()


PASSING = {
    "a wrong password": ({}, "refuses us: Not authorized; check broker.username"),
    "a name that is not known": ({"EDGE_BROKER__HOST": "nowhere.invalid"}, "the name nowhere.invalid is not known"),
    "nothing that listens": ({"EDGE_BROKER__PORT": "1"}, "nothing listens there"),
    "plain words to a TLS port": ({"EDGE_BROKER__TLS_CA": ""}, "does it want TLS (broker.tls_ca)"),
    "another authority": ({"EDGE_BROKER__TLS_CA": "/etc/ssl/certs/ca-certificates.crt"}, "broker.tls_ca the authority"),
    "another host's certificate": ({"EDGE_BROKER__HOST": "localhost"}, "is not valid for 'localhost'"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", PASSING)
def test_a_daemon_tells_why_the_broker_is_not_reached_and_goes_on(folder, port, tmp_path, case):
    """What a broker or a network may mend does not end it; log and service manager name what to look at."""
    changed, says = PASSING[case]
    settings = {**daemon_settings(port, folder, tmp_path), **changed}
    settings = {name: value for name, value in settings.items() if value}
    with manager(tmp_path / "notify") as heard:
        settings["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        with running([sys.executable, "-m", "edge.testing"], tmp_path / "log", settings) as daemon:
            wait_until(lambda: says in (tmp_path / "log").read_text())
            wait_until(lambda: any(says in each for each in heard()))
            assert daemon.poll() is None
            daemon.terminate()
            assert daemon.wait(20) == 0


def test_a_password_in_a_file_for_everyone_is_refused(tmp_path):
    """A configuration that holds a password must not be readable by others."""
    config = tmp_path / "edge.toml"
    config.write_text('[broker]\npassword = "tulip"\n')
    config.chmod(0o644)
    for mode, status in ((0o644, 78), (0o640, 0)):
        config.chmod(mode)
        environment = {"EDGE_CONFIG": str(config), "PATH": "/usr/bin", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "edge", "serve", "--print-config"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert json.dumps("tulip") not in done.stdout
