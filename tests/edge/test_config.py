"""Settings and what they become."""

from __future__ import annotations

from dataclasses import asdict
from typing import get_args

import pytest

from edge.config import Engine, EngineKind, load_settings
from edge.engine import Kind, Options
from edge.errors import ConfigError


def test_the_engine_and_its_settings_have_the_same_defaults(tmp_path):
    """Each option of the engine is a setting of its name, and means the same where nobody sets it."""
    own, settings = asdict(Options()), Engine(cache_folder=tmp_path).model_dump()
    assert own.pop("cache_folder") == ""  # only a daemon has a place for what makes the next start faster
    assert own == {name: settings[name] for name in own}
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
