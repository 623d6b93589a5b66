"""An address that cannot be had is told with its setting, its reason and what to do: the same for every door."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.config import Prometheus as PrometheusSettings
from edge.config import Settings
from edge.doors.assist.door import Assist
from edge.doors.http.server import Http
from edge.doors.listening import listening, refused
from edge.doors.prometheus import Prometheus
from edge.errors import ConfigError
from tests.conftest import ROOT, free_port

UNIX_DOORS: dict[str, Callable[[str], Http | Assist]] = {
    "http": lambda address: Http(Settings(http={"address": address})),
    "assist": lambda address: Assist(Settings(assist={"address": address, "allow": ["192.0.2.0/24"]})),
}
DOORS: dict[str, Callable[[str], object]] = {
    **UNIX_DOORS,
    "prometheus": lambda address: Prometheus(PrometheusSettings(address=address)),
}


@pytest.mark.parametrize("name", DOORS)
def test_a_port_that_is_taken(name):
    """Who has it can be found out, and another can be chosen."""
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ConfigError, match=rf"{name}\.address: 127\.0\.0\.1:{port} cannot.*: Address already.*{port}'`"),
    ):
        DOORS[name](f"127.0.0.1:{port}")


@pytest.mark.parametrize("name", ["assist", "prometheus"])
@pytest.mark.parametrize(
    ("host", "advice"),
    [("192.0.2.77", "none of this board's addresses"), ("no.invalid", "no name that this board knows")],
)
def test_an_address_of_somebody_else(name, host, advice):
    """An address, or a name, that is not this board's."""
    with pytest.raises(ConfigError, match=rf"{name}\.address: {host}:\d+ cannot be listened on: .*; .*{advice}"):
        DOORS[name](f"{host}:{free_port()}")


def test_a_privileged_port():
    """Named as such; root, as whom the suite may run, is let have it, so the kernel's word is given here."""
    told = str(refused("assist.address", "127.0.0.1:102", PermissionError(13, "Permission denied")))
    assert told.startswith("assist.address: 127.0.0.1:102 cannot be listened on: Permission denied; ports below 1024")


@pytest.mark.parametrize("name", UNIX_DOORS)
def test_a_socket_in_a_folder_that_is_not_there(name, tmp_path):
    """Or that is no folder."""
    (tmp_path / "file").touch()
    for folder in ("none", "file"):
        with pytest.raises(ConfigError, match=rf"{name}\.address: .*the folder .*{folder} is not there"):
            UNIX_DOORS[name](f"unix:{tmp_path}/{folder}/a.sock")


@pytest.mark.parametrize("name", UNIX_DOORS)
def test_a_socket_that_somebody_has(name, tmp_path):
    """One that is listened on stays whose it is; what a dead program has left is replaced; a file stays."""
    path = tmp_path / "a.sock"
    with listening("x", f"unix:{path}"), pytest.raises(ConfigError, match="another program listens there"):
        UNIX_DOORS[name](f"unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    UNIX_DOORS[name](f"unix:{path}").close()
    path.unlink()
    path.write_text("mine")
    with pytest.raises(ConfigError, match="what is there is no socket"):
        UNIX_DOORS[name](f"unix:{path}")
    assert path.read_text() == "mine"


def test_a_folder_where_it_may_not_write():
    """Where even root may not: a folder of the kernel's."""
    with pytest.raises(ConfigError, match=r"assist\.address: .*(may not write in /proc|the folder /proc is not there)"):
        UNIX_DOORS["assist"]("unix:/proc/a.sock")


@pytest.mark.parametrize("name", ["http", "assist"])
def test_the_daemon_ends_with_one_line(name, tmp_path):
    """No traceback; 75, after which the unit tries again, since the other program may end; 78 where it can never be."""
    with socket.create_server(("127.0.0.1", port := free_port())):
        assert ended(name, f"127.0.0.1:{port}", tmp_path) == 75
    assert ended(name, f"unix:{tmp_path}/none/a.sock", tmp_path) == 78


def ended(name: str, address: str, folder: Path) -> int:
    """A daemon's exit status, of a door that cannot have its address."""
    env = {**os.environ, "EDGE_DEVICE": "pi", "EDGE_JOURNAL__FOLDER": str(folder / "state")}
    env[f"EDGE_{name.upper()}__ADDRESS"] = address
    command = [sys.executable, "-m", "edge.testing"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert f"{name}.address: {address} cannot be listened on" in done.stderr
    return done.returncode
