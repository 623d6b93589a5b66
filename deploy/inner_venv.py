"""An environment inside another, which sees whatever the outer one has, but for what it has itself in another version.

`OUTER/bin/python deploy/inner_venv.py FOLDER REQUIREMENT…`. For a second Transformers without a second torch.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path


def main(folder: Path, requirements: list[str]) -> int:
    """Make it, or bring it up to date; pip's exit status."""
    outer = sysconfig.get_path("purelib")
    venv.create(folder)
    (inner,) = folder.glob("lib/python*/site-packages")
    (inner / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n", encoding="utf-8")
    # What is installed here stands before the outer one's; that those two do not fit each other is what it is for.
    pip = ["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-warn-conflicts"]
    return subprocess.run([str(folder / "bin" / "python"), *pip, *requirements], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:]))
