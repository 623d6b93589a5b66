"""axe-core in the page: what somebody who sees, hears or moves otherwise could not use."""

from __future__ import annotations

from typing import Any

from tests.conftest import ROOT

AXE = ROOT / "deploy/kiosk/node_modules/axe-core/axe.min.js"
WHERE_NOT = "axe-core is not there: cd deploy/kiosk && npm ci"


def violations(page: Any) -> list[str]:
    """Each rule that is broken, with the elements that break it. The page's context bypasses its CSP.

    RuntimeError where npm has not installed it.
    """
    if not AXE.is_file():
        raise RuntimeError(WHERE_NOT)
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{rule['id']}: {where(rule['nodes'])}" for rule in found]


def where(nodes: list[dict[str, Any]]) -> str:
    """The elements that break a rule, and what would mend the first."""
    return f"{' '.join(str(node['target'][0]) for node in nodes)} ({nodes[0]['failureSummary']})"
