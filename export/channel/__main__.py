"""`edge-channel`, `python -m export.channel`: Ctrl-C and SIGTERM are answered from the first moment on."""

from __future__ import annotations

import sys

from edge.errors import EdgeError
from export.stopping import ended, listen


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit status: 0 done, 1 not as it should be, 65, 75 and 78 as of `edge`, 130 for Ctrl-C."""
    listen()
    try:
        from export.channel.command import run

        return run(arguments)
    except EdgeError as error:
        print(f"edge-channel: {error}", file=sys.stderr)
        return error.exit_status
    except (KeyboardInterrupt, ImportError) as error:
        status = ended(error)
        if status is None:
            raise
        return status


if __name__ == "__main__":
    raise SystemExit(main())
