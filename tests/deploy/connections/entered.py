"""Ansible's way into a machine of these tests, which has no network to log in by: through its namespaces."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: entered
short_description: Enter the namespaces of a process
description: Root runs commands in a booted machine, whose first process ansible_host names.
author: The Edge SLM maintainers
options: {}
"""


class Connection(ConnectionBase):
    """One machine."""

    transport = "entered"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def _run(self, command: str, given: bytes | None) -> tuple[int, bytes, bytes]:
        entered = ["nsenter", "-t", str(self._play_context.remote_addr), "-a", "/bin/sh", "-c", command]
        done = subprocess.run(entered, input=given, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """A command; its exit status, output and errors."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(cmd, in_data)

    def put_file(self, in_path: str, out_path: str) -> None:
        """A file into the machine."""
        super().put_file(in_path, out_path)
        self._run(f"cat > '{out_path}'", Path(in_path).read_bytes())

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """A file out of it."""
        super().fetch_file(in_path, out_path)
        Path(out_path).write_bytes(self._run(f"cat '{in_path}'", None)[1])

    def close(self) -> None:
        """Nothing is held."""
        self._connected = False
