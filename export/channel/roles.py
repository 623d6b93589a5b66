"""Who may sign what, and for how long: The Update Framework's roles, as a repository here has them.

    root       the keys of all others; offline
    targets    the keys of the channels; offline
    online     snapshot and timestamp: which versions go together, and that they are the newest; signed anew by cron
    <channel>  which bundles a channel has

Expiry: a board refuses what has expired, so that nobody can show it an old state for ever (a frozen repository). Boards
that are offline for weeks need time, and so does who signs: 45 days for what a machine signs each night, a year for
what a person does, three for the root.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
ONLINE = "online"
"""The key of snapshot and timestamp."""
CHANNELS = ("stable", "canary")
DAYS = {ROOT: 3 * 365, TARGETS: 365, SNAPSHOT: 45, TIMESTAMP: 45}
CHANNEL_DAYS = 365


def key_of(role: str) -> str:
    """The name of the key that signs a role."""
    return ONLINE if role in (SNAPSHOT, TIMESTAMP) else role


def expiry(role: str, days: int | None = None) -> datetime:
    """When what is signed now expires. days: in place of the usual ones."""
    wanted = DAYS.get(role, CHANNEL_DAYS) if days is None else days
    return (datetime.now(UTC) + timedelta(days=wanted)).replace(microsecond=0)
