"""The examples at a broker as deploy/mosquitto sets one up: TLS, a name and a password, and an access list."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.mqtt.test_security import folder as folder
from tests.edge.mqtt.test_security import port as port
from tests.examples.programs import Program, asked, parameters
from tests.examples.test_examples import QUESTION, ended, slowly

pytestmark = [pytest.mark.checkout, pytest.mark.mosquitto, slowly]


@pytest.mark.parametrize("password", ["me-secret", "another"])
@pytest.mark.parametrize("program", parameters())
def test_it_asks_under_its_name(program: Program, password: str, folder: Path, port: int, tmp_path: Path):
    """Answered; with a wrong password it says that it is not taken. The shell's is in its clients' files."""
    if program.name == "micropython":
        pytest.skip("its certificate is an argument, not a setting")
    ca = folder / "certs/ca.crt"
    settings = {"BOARD": "test", "ME": "me", "MQTT_USER": "me", "MQTT_PASSWORD": password, "MQTT_CA": str(ca)}
    for client in ("mosquitto_pub", "mosquitto_sub"):
        (tmp_path / client).write_text(f"-u me\n-P {password}\n--cafile {ca}\n")
    status, output, errors = ended(asked(program, port, QUESTION, XDG_CONFIG_HOME=str(tmp_path), **settings))
    if password == "me-secret":
        assert (status, output, errors) == (0, "word word \n", "")
    else:
        assert (status, output) == (69, ""), errors
        assert "uthori" in errors, errors
