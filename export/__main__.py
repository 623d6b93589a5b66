"""`edge-export`, `python -m export`: the command, with Ctrl-C and SIGTERM answered from the first moment on."""

from __future__ import annotations

from export.stopping import ended, listen
from export.words import heard, prepare


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit status, 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    listen()
    prepare()
    try:
        from export.command import run  # numpy and onnx take a second in which Ctrl-C should do as well

        return heard(run(arguments))
    except (KeyboardInterrupt, ImportError) as error:
        status = ended(error)
        if status is None:
            raise
        return status


if __name__ == "__main__":
    raise SystemExit(main())
