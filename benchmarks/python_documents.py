"""Python's own documentation as a folder of text files: on every machine, so that a question's answer is known.

Its language reference as `help("topics")` has it, and the docstrings of the standard library, a file a module.
"""

from __future__ import annotations

import importlib
import inspect
import pydoc
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics
from types import ModuleType
from typing import Any

MODULES = [
    "abc",
    "argparse",
    "ast",
    "asyncio.events",
    "asyncio.locks",
    "asyncio.queues",
    "asyncio.streams",
    "asyncio.subprocess",
    "asyncio.tasks",
    "asyncio.timeouts",
    "base64",
    "bdb",
    "binascii",
    "bisect",
    "builtins",
    "bz2",
    "calendar",
    "cmath",
    "cmd",
    "code",
    "codecs",
    "collections",
    "colorsys",
    "concurrent.futures",
    "configparser",
    "contextlib",
    "contextvars",
    "copy",
    "copyreg",
    "csv",
    "ctypes",
    "dataclasses",
    "datetime",
    "dbm",
    "decimal",
    "difflib",
    "dis",
    "doctest",
    "email.message",
    "email.policy",
    "email.utils",
    "enum",
    "errno",
    "fcntl",
    "filecmp",
    "fileinput",
    "fnmatch",
    "fractions",
    "ftplib",
    "functools",
    "gc",
    "getopt",
    "getpass",
    "gettext",
    "glob",
    "graphlib",
    "grp",
    "gzip",
    "hashlib",
    "heapq",
    "hmac",
    "html",
    "html.parser",
    "http.client",
    "http.cookies",
    "http.server",
    "imaplib",
    "importlib",
    "inspect",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "keyword",
    "linecache",
    "locale",
    "logging",
    "logging.config",
    "logging.handlers",
    "lzma",
    "mailbox",
    "marshal",
    "math",
    "mimetypes",
    "mmap",
    "modulefinder",
    "multiprocessing",
    "multiprocessing.pool",
    "netrc",
    "numbers",
    "operator",
    "optparse",
    "os",
    "os.path",
    "pathlib",
    "pdb",
    "pickle",
    "pkgutil",
    "platform",
    "plistlib",
    "poplib",
    "pprint",
    "profile",
    "pstats",
    "pty",
    "pwd",
    "pydoc",
    "queue",
    "quopri",
    "random",
    "re",
    "reprlib",
    "resource",
    "runpy",
    "sched",
    "secrets",
    "select",
    "selectors",
    "shelve",
    "shlex",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "stat",
    "statistics",
    "string",
    "stringprep",
    "struct",
    "subprocess",
    "symtable",
    "sys",
    "sysconfig",
    "syslog",
    "tarfile",
    "tempfile",
    "termios",
    "textwrap",
    "threading",
    "time",
    "timeit",
    "tokenize",
    "tomllib",
    "trace",
    "traceback",
    "tracemalloc",
    "tty",
    "types",
    "typing",
    "unicodedata",
    "unittest.case",
    "urllib.error",
    "urllib.parse",
    "urllib.request",
    "urllib.robotparser",
    "uuid",
    "venv",
    "warnings",
    "wave",
    "weakref",
    "webbrowser",
    "wsgiref.handlers",
    "xml.dom.minidom",
    "xml.etree.ElementTree",
    "xml.sax",
    "xmlrpc.client",
    "xmlrpc.server",
    "zipapp",
    "zipfile",
    "zipimport",
    "zlib",
    "zoneinfo",
]


def write(folder: Path) -> int:
    """Write all of it below a folder; characters."""
    for part in ("reference", "library"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    chars = 0
    for name, text in topics.items():
        chars += (folder / "reference" / f"{name}.txt").write_text(text, encoding="utf-8")
    for name in MODULES:
        text = "\n".join(_module(importlib.import_module(name)))
        chars += (folder / "library" / f"{name}.rst").write_text(text, encoding="utf-8")
    return chars


def _module(module: ModuleType) -> Iterator[str]:
    synopsis, text = pydoc.splitdoc(inspect.getdoc(module) or "")
    title = f"{module.__name__} - {synopsis}" if synopsis else module.__name__
    yield from (f"{title}\n{'=' * len(title)}\n", text, "")
    for name, value in sorted(vars(module).items()):
        is_own = getattr(value, "__module__", None) in (
            module.__name__,
            f"_{module.__name__}",
            "builtins",
            "posix",
            "nt",
        )
        is_alias = getattr(value, "__name__", name) != name
        if name.startswith("_") or not callable(value) or not is_own or is_alias:
            continue
        yield from _described(name, value, "-")
        if inspect.isclass(value):
            for method, each in sorted(vars(value).items()):
                if not method.startswith("_") and inspect.getdoc(each):
                    yield from _described(f"{name}.{method}", each, "~")


def _described(name: str, value: Any, sign: str) -> Iterator[str]:
    """A heading, how it is called, its docstring."""
    text = inspect.getdoc(value) or ""
    try:
        call = f"{name}{inspect.signature(value)}"
    except (ValueError, TypeError):
        call = ""
    yield from (f"{name}\n{sign * max(3, len(name))}\n", call if len(call) < 300 else "", "", text, "")
