"""What the service manager is told, and that it need not be there."""

from __future__ import annotations

import socket

from edge.board.systemd import STATUS_CHARACTERS, Notifier


def test_a_status_is_one_line_of_bounded_length(tmp_path, monkeypatch):
    """An error's text may have lines, which would be read as words of their own, and be long."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        Notifier().status("first\nREADY=1\n" + "x" * 100_000)
        said = manager.recv(1 << 20).decode()
    assert said.startswith("STATUS=first READY=1 x")
    assert len(said) == len("STATUS=") + STATUS_CHARACTERS


def test_a_manager_that_is_gone_is_no_reason_to_end(tmp_path, monkeypatch, caplog):
    """A word in the log."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nowhere"))
    Notifier().ready("serving")
    assert "systemd could not be told how we are" in caplog.text
