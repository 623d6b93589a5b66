"""Ask a board one question and print its answer as it comes. asyncio, MQTT 5; `pip install aiomqtt`.

MQTT_HOST=broker.lan BOARD=pi python ask_aiomqtt.py 'What does error E42 mean?'

MQTT_PORT, MQTT_USER, MQTT_PASSWORD and MQTT_CA (which asks for TLS) are taken from the environment, too.
"""

import asyncio
import json
import os
import sys
import uuid
from typing import Any

import aiomqtt

HOST, PORT = os.environ.get("MQTT_HOST", "127.0.0.1"), int(os.environ.get("MQTT_PORT", "1883"))
USER, PASSWORD, CA = (os.environ.get(f"MQTT_{name}") for name in ("USER", "PASSWORD", "CA"))
BOARD, ME = os.environ.get("BOARD", "demo"), os.environ.get("ME", USER or "me")
DEADLINE_SECONDS = float(os.environ.get("DEADLINE_SECONDS", "60"))
REQUEST, CANCEL, REPLY, STATUS = (
    f"edge/{BOARD}/{name}" for name in (f"request/{ME}", f"cancel/{ME}", f"reply/{ME}", "status")
)


class NotAnsweredError(Exception):
    """Ends the program. Its arguments: the exit status, and why."""


class Question:
    """One question, and how far its answer has come."""

    def __init__(self, prompt: str) -> None:
        self.id = uuid.uuid4().hex
        deadline = int(DEADLINE_SECONDS * 1000)
        self.request = json.dumps({"prompt": prompt, "id": self.id, "max_tokens": 256, "deadline_ms": deadline})
        self.printed, self.next_index, self.is_asked = "", 0, False

    async def ask(self) -> None:
        """Ask, again after each lost connection: the same `id` makes that safe, it is answered once."""
        while True:
            try:
                async with connection() as client:
                    return await self.hear(client)
            except aiomqtt.MqttError as error:
                if not self.is_asked:
                    raise NotAnsweredError(69, f"no broker at {HOST}:{PORT} that takes us: {error}") from error
                await asyncio.sleep(1)

    async def hear(self, client: aiomqtt.Client) -> None:
        """What comes over one connection. Both topics in one SUBSCRIBE: who hears the status will hear the answer."""
        await client.subscribe([(REPLY, 1), (STATUS, 1)])
        try:
            async with asyncio.timeout(5) as silence:
                async for message in client.messages:
                    silence.reschedule(None)
                    if message.topic.value == STATUS:
                        await self.on_status(client, body(message))
                    elif self.is_answered(body(message)):
                        return
        except TimeoutError as error:
            raise NotAnsweredError(69, f"no word of a board named {BOARD}") from error
        except asyncio.CancelledError:
            await client.publish(CANCEL, self.id, qos=1)
            raise

    async def on_status(self, client: aiomqtt.Client, said: dict[str, Any]) -> None:
        """It is retained, so it comes at each connect. One that goes away in the middle comes back and begins again."""
        if said.get("state") in ("online", "loading", "unloaded"):
            await client.publish(REQUEST, self.request, qos=1)
            self.is_asked = True
        elif not self.is_asked:
            raise NotAnsweredError(69, f"the board is {said.get('state')}")

    def is_answered(self, said: dict[str, Any]) -> bool:
        """Whether this is the end. Answers of others, and types that are not known, are let be."""
        kind = said.get("type") if said.get("id") == self.id else None
        if kind == "delta" and said["index"] == self.next_index:  # behind a gap the reply has it all
            print(said["text"], end="", flush=True)
            self.printed, self.next_index = self.printed + said["text"], self.next_index + 1
        if kind != "reply":
            return False
        is_more = said["text"].startswith(self.printed) or not said["text"]  # else the board has begun anew
        print(said["text"][len(self.printed) :] if is_more else f"\n{said['text']}")
        if said["code"] != 200:
            raise NotAnsweredError(4 if said["code"] == 408 else 1, f"{said['code']} {said['error']['message']}")
        return True


def connection() -> aiomqtt.Client:
    """To the broker, for `async with`."""
    tls = aiomqtt.TLSParameters(ca_certs=CA) if CA else None
    version = aiomqtt.ProtocolVersion.V5
    return aiomqtt.Client(HOST, PORT, username=USER, password=PASSWORD, tls_params=tls, protocol=version)


def body(message: aiomqtt.Message) -> dict[str, Any]:
    """The JSON object that it is; empty where it is none."""
    try:
        said = json.loads(message.payload)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


async def main(prompt: str) -> int:
    """The exit status."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS + 5):
            await Question(prompt).ask()
    except NotAnsweredError as error:
        exit_status, why = error.args
    except TimeoutError:
        exit_status, why = 4, "no answer in time"
    else:
        return 0
    print(f"ask: {why}", file=sys.stderr)
    return exit_status


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: ask_aiomqtt.py QUESTION", file=sys.stderr)
        sys.exit(2)
    try:
        sys.exit(asyncio.run(main(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(130)
