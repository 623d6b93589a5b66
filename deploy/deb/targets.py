"""For which Debian and which processor a package is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PROCESSORS = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's name and the kernel's."""
GLIBC_FIRST = 17
"""The oldest glibc, 2.17, that a wheel may be made for (PEP 600)."""


@dataclass(frozen=True)
class Target:
    """release: Debian's number. python: its Python. glibc: the minor of its glibc 2. systemd: its version."""

    release: int
    python: str
    glibc: int
    systemd: int
    architecture: str

    @property
    def name(self) -> str:
        """As folders are called by it."""
        return f"deb{self.release}_{self.architecture}"

    @property
    def machine(self) -> str:
        """The kernel's word for the processor."""
        return PROCESSORS[self.architecture]

    @property
    def abi(self) -> str:
        """CPython's tag, such as cp311."""
        return f"cp{self.python.replace('.', '')}"

    def pip_options(self) -> Iterator[str]:
        """That have pip choose this target's wheels, wherever it runs."""
        yield from ("--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}")
        yield from (f"--abi={self.abi}", "--abi=abi3", "--abi=none", f"--platform=manylinux2014_{self.machine}")
        yield from (f"--platform=manylinux_2_{minor}_{self.machine}" for minor in range(GLIBC_FIRST, self.glibc + 1))

    def marker_environment(self) -> dict[str, str]:
        """What the lock's markers are asked of (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


TARGETS = [
    Target(release, python, glibc, systemd, architecture)
    for release, python, glibc, systemd in ((12, "3.11", 36, 252), (13, "3.13", 41, 257))
    for architecture in PROCESSORS
]
