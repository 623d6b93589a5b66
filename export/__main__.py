"""`edge-export`, `python -m export`: the command, with Ctrl-C answered from the first moment on."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit status, 130 for Ctrl-C."""
    try:
        from export.command import run  # numpy and onnx take a second in which Ctrl-C should do as well

        return run(arguments)
    except KeyboardInterrupt:
        print("edge-export: stopped; nothing was left behind", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
