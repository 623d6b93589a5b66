"""A line of Mosquitto's password file that comes out the same each time, so that a second run changes nothing."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

ITERATIONS, SALT_BYTES = 10_000, 12
"""Mosquitto reads how many; its own 101 are few (mosquitto_passwd(1), PBKDF2 with SHA-512)."""


def mosquitto_password(password: str, user: str, broker: str) -> str:
    """`USER:$7$…`. The salt is no other user's and no other broker's, and says nothing of the password."""
    salt = hashlib.sha256(f"{broker}\n{user}".encode()).digest()[:SALT_BYTES]
    made = hashlib.pbkdf2_hmac("sha512", str(password).encode(), salt, ITERATIONS)
    return f"{user}:$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}"


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"mosquitto_password": mosquitto_password}
