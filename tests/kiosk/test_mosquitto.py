"""Other brokers, and an identity that may do no more than the page needs."""

from __future__ import annotations

import pytest

from tests.clients import User
from tests.conftest import ROOT, free_port, running, wait_for_port, wait_until
from tests.kiosk import boxes
from tests.kiosk.boxes import box, password_file
from tests.kiosk.conftest import KIOSK

pytestmark = [*KIOSK, pytest.mark.mosquitto]
LISTS = ROOT / "deploy/mosquitto"
MOSQUITTO = """
per_listener_settings true
user root
listener {port} 127.0.0.1
allow_anonymous true
listener {web} 127.0.0.1
protocol websockets
http_dir {site}
{access}
"""


@pytest.mark.parametrize("named", [False, True], ids=["anonymous", "by-name"])
def test_mosquitto_hands_out_the_page_and_lets_it_ask(pages, tmp_path, named):
    """By its http_dir, which names no types of files; with the shipped list, by name or without one."""
    config = {"username": "kiosk", "password": "wonder"} if named else {}
    port, web = free_port(), free_port()
    site = boxes.site(tmp_path, config)
    if named:
        acl = tmp_path / "acl"
        acl.write_text((LISTS / "kiosk.acl").read_text() + (LISTS / "acl.conf").read_text())
        access = f"allow_anonymous false\npassword_file {password_file(tmp_path, kiosk='wonder')}\nacl_file {acl}"
    else:
        access = f"allow_anonymous true\nacl_file {LISTS / 'kiosk.acl'}"
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(MOSQUITTO.format(port=port, web=web, site=site, access=access))
    with running(["/usr/sbin/mosquitto", "-c", str(conf)], tmp_path / "mosquitto.log"):
        wait_for_port(web)
        settings = boxes.daemon_settings(tmp_path, port, None)
        command = boxes.made_up("--pieces=8")
        with running(command, tmp_path / "daemon.log", settings), User(port) as user:
            user.wait_online("test")
            visitor = pages().open(f"http://127.0.0.1:{web}/").wait_ready()
            assert "word" in visitor.ask("Are you there?").answered()
            visitor.part("rate-bad").click()
            wait_until(lambda: '"bad":1' in telemetry(port), 10)


def telemetry(port):
    """The daemon's next reading, as text."""
    with User(port, "edge/test/telemetry") as user:
        return user.next().payload.decode()


def test_the_identity_at_the_embedded_broker(pages, tmp_path):
    """The same list and a password; another's answers are not to be read with it."""
    acl = tmp_path / "acl"
    acl.write_text((LISTS / "kiosk.acl").read_text() + (LISTS / "acl.conf").read_text() + BOARD)
    passwords = password_file(tmp_path, kiosk="wonder", test="board")
    config = {"username": "kiosk", "password": "wonder"}
    board = {"EDGE_BROKER__USERNAME": "test", "EDGE_BROKER__PASSWORD": "board"}
    serve = (f"--password-file={passwords}", f"--acl-file={acl}")
    with box(tmp_path, config=config, serve=serve, **board) as here:
        visitor = pages().open(here.url).wait_ready()
        assert "word" in visitor.ask("Are you there?").answered()


BOARD = "\nuser test\ntopic write answers/#\n"
