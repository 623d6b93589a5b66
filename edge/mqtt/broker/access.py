"""Who may come in, and what each may do: a password file and an access list, or everybody and everything."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from mqtt5 import ConnAckReasonCode as Answer

from edge.mqtt.broker.acl import Acl, Everything
from edge.mqtt.broker.limits import Refused
from edge.mqtt.broker.passwords import Passwords
from edge.mqtt.broker.session import Rights
from edge.mqtt.broker.telling import shown

HASHING_MAX = 32
"""Logins that may wait for their turn; more are told to come again."""
FAILED_SECONDS, FAILED_MAX = 1.0, 64
"""A failed login is answered so much later, while so few wait for it."""


class Access:
    """Checks logins one after the other in a thread of its own, so that hashing holds up nobody who is connected."""

    def __init__(
        self, passwords: Passwords | None = None, acl: Acl | None = None, allow_anonymous: bool = False
    ) -> None:
        self._passwords, self._acl, self._allow_anonymous = passwords, acl, allow_anonymous
        self._thread = ThreadPoolExecutor(1, "password")
        self._hashing = self._failed = 0

    @property
    def has_passwords(self) -> bool:
        """Whether a user name is worth something."""
        return self._passwords is not None

    async def login(self, user: str | None, password: bytes | None) -> str | None:
        """The user who connects, None for one without a name; Refused where it may not."""
        if self._passwords is None:
            return user
        if user is None:
            if self._allow_anonymous:
                return None
            raise Refused(Answer.NOT_AUTHORIZED, "no user name")
        if self._hashing >= HASHING_MAX:
            raise Refused(Answer.SERVER_BUSY, f"{self._hashing} logins are being checked")
        if password is None or not await self._verify(self._passwords, user, password):
            await self._wait()
            raise Refused(Answer.BAD_USER_NAME_OR_PASSWORD, f"user name or password is wrong (user {shown(user)})")
        return user

    def rights(self, user: str | None, client_id: str) -> Rights:
        """What a client may do."""
        return self._acl.rights(user, client_id) if self._acl else Everything()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _verify(self, passwords: Passwords, user: str, password: bytes) -> bool:
        self._hashing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, passwords.verify, user, password)
        finally:
            self._hashing -= 1

    async def _wait(self) -> None:
        if self._failed >= FAILED_MAX:
            return
        self._failed += 1
        try:
            await asyncio.sleep(FAILED_SECONDS)
        finally:
            self._failed -= 1
