"""Brokers named on the command line."""

from __future__ import annotations

import argparse

import pytest

from edge.commands.connection import add_connection, address, connected_settings
from edge.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pi", {"host": "pi"}),
        ("pi.local:1884", {"host": "pi.local", "port": 1884}),
        ("[::1]:1884", {"host": "::1", "port": 1884}),
        ("[fe80::1]", {"host": "fe80::1"}),
        ("fe80::1", {"host": "fe80::1"}),
        ("fe80::1%eth0", {"host": "fe80::1%eth0"}),
    ],
)
def test_an_address_in_every_form(text, said):
    """Names, IPv4 and IPv6, with a port and without."""
    assert address(text) == said


@pytest.mark.parametrize(
    "text",
    ["", ":1883", "pi:0", "pi:65536", "pi:many", "[::1", "[::1]x", "[]:1", "[pi]", "pi:²", "1883", "a:b:c", "h/x"],
)
def test_an_address_that_is_none_is_refused(text):
    """With a word that argparse prints."""
    with pytest.raises(argparse.ArgumentTypeError):
        address(text)


def settings(*words: str):
    """What a command line leads to."""
    parser = argparse.ArgumentParser()
    add_connection(parser, "ask")
    return connected_settings(parser.parse_args(words))


def test_what_is_said_goes_before_what_is_set(monkeypatch, tmp_path):
    """Each option stands over its variable; another broker gets nothing of the configured one, its secret least."""
    monkeypatch.setenv("EDGE_BROKER__HOST", "elsewhere")
    monkeypatch.setenv("EDGE_BROKER__USERNAME", "set")
    monkeypatch.setenv("EDGE_BROKER__PASSWORD", "secret")
    assert settings().broker.host == "elsewhere"
    found = settings("--broker", "pi", "--tls-ca", "ca.crt", "--device", "kitchen")
    assert (found.broker.host, found.broker.port, found.broker.username) == ("pi", 8883, None)
    assert found.broker.password is None
    assert found.device == "kitchen"
    assert settings("--broker", "pi:1", "--tls-ca", "ca.crt").broker.port == 1
    secret = tmp_path / "secret"
    secret.write_text("tulip\n")
    found = settings("--user", "me", "--password-file", str(secret))
    assert found.broker.password is not None
    assert (found.broker.username, found.broker.password.get_secret_value()) == ("me", "tulip")


def test_a_user_that_no_board_hears_is_refused():
    """Its name is a level of the topics that it asks on."""
    with pytest.raises(ConfigError, match="me@home"):
        settings("--user", "me@home")
