"""Settings and what they become."""

from __future__ import annotations

from dataclasses import asdict
from typing import get_args

import pytest

from edge.config import Documents, Engine, EngineKind, Settings, load_settings
from edge.engine import Kind, Options
from edge.errors import ConfigError


def test_the_engine_and_its_settings_have_the_same_defaults(tmp_path):
    """Each option of the engine is a setting of its name, and means the same where nobody sets it."""
    own, settings = asdict(Options()), Engine(cache_folder=tmp_path).model_dump()
    assert own.pop("cache_folder") == ""  # only a daemon has a place for what makes the next start faster
    found = {f"documents_{name}": value for name, value in Documents(folder=tmp_path).model_dump().items()}
    assert own.pop("documents_folder") == ""  # and for indexes beside the bundle's own
    assert own.pop("scorers") == Settings(device="pi").scorers == {}
    assert own == {name: (settings | found)[name] for name in own}
    assert found.keys() - own.keys() == {"documents_folder"}
    assert get_args(EngineKind) == get_args(Kind)


def test_certificates_without_tls_are_refused(monkeypatch):
    """A client certificate alone would leave the connection, and the password, in the clear; the variable is named."""
    monkeypatch.setenv("EDGE_BROKER__TLS_CERTIFICATE", "me.crt")
    with pytest.raises(ConfigError, match="tls_ca"):
        load_settings()
    monkeypatch.setenv("EDGE_BROKER__TLS_CA", "ca.crt")
    assert load_settings().broker.tls_certificate


def test_a_wrong_argument_is_not_blamed_on_a_variable(monkeypatch):
    """What the command line says wins, and is named where it is wrong."""
    monkeypatch.setenv("EDGE_DEVICE", "good")
    with pytest.raises(ConfigError, match="on the command line: device"):
        load_settings(device="a/b")


WRONG = {
    "EDGE_LIMITS__RESPONSE_TOPICS": "answers,reply",
    "EDGE_BROKER__HOST": "",
    "EDGE_BROKER__PORT": "",
    "EDGE_DEVICE": "a/b",
    "EDGE_ENGINE__KV_BYTES": "lots",
    "EDGE_TELEMETRY__ROOT": "/there/is/no/such/folder",
    "EDGE_STORE__REPOSITORY": "ftp://host/repository",
}


@pytest.mark.parametrize("variable", WRONG)
def test_a_value_that_cannot_be_is_told_by_its_variable(monkeypatch, variable):
    """In a line, whatever its type."""
    monkeypatch.setenv(variable, WRONG[variable])
    with pytest.raises(ConfigError, match=f"the variable {variable}:") as raised:
        load_settings()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("host", ["pi\r", "pi\n", "p i", " ", "pi\t"])
def test_a_host_with_what_is_seen_by_nobody_is_refused(monkeypatch, host):
    """As a file that was edited elsewhere has it at the end of a line."""
    monkeypatch.setenv("EDGE_BROKER__HOST", host)
    with pytest.raises(ConfigError, match=r"EDGE_BROKER__HOST: broker\.host"):
        load_settings()


@pytest.mark.parametrize(
    "address", ["https://me:secret@nas/edge", "https://nas/edge?token=secret", "http://nas/#secret"]
)
def test_a_repositorys_address_holds_no_secret(monkeypatch, address):
    """It would be told to all who read what the board reports, and not even sent to the server."""
    monkeypatch.setenv("EDGE_STORE__REPOSITORY", address)
    with pytest.raises(ConfigError, match=r"EDGE_STORE__REPOSITORY") as raised:
        load_settings()
    assert "secret" not in str(raised.value)


def test_a_device_is_not_its_own_fleet(monkeypatch):
    """Both would have the same topics: a request would be the board's own and the fleet's."""
    monkeypatch.setenv("EDGE_DEVICE", "hall")
    monkeypatch.setenv("EDGE_FLEET", "hall")
    with pytest.raises(ConfigError, match=r"EDGE_FLEET: .*hall is what the device is called"):
        load_settings()


def test_a_byte_order_mark_is_no_part_of_a_file(monkeypatch, tmp_path):
    """Of edge.toml, and of a credential, which ends its line as Windows does."""
    (tmp_path / "edge.toml").write_text('device = "kitchen"\n', encoding="utf-8-sig")
    (tmp_path / "broker_password").write_bytes(b"\xef\xbb\xbftulip\r\n")
    monkeypatch.setenv("EDGE_CONFIG", str(tmp_path / "edge.toml"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = load_settings()
    assert settings.device == "kitchen"
    assert settings.broker.password is not None
    assert settings.broker.password.get_secret_value() == "tulip"


@pytest.mark.parametrize("form", ["*", "now *", "Current\ntime is *", "x" * 257, "# * # * #"])
def test_a_form_that_fits_too_much_is_refused(form: str):
    """Of too few characters, of two lines, too long."""
    with pytest.raises(ConfigError, match="volatile"):
        load_settings(prompts={"volatile": [form]})


def test_no_forms_are_a_setting_too():
    """Prompts are then read as they come."""
    assert load_settings(prompts={"volatile": []}).prompts.volatile == []
