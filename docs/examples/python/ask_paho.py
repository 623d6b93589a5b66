"""Ask a board one question and print its answer as it comes. MQTT 5; `pip install paho-mqtt`.

MQTT_HOST=broker.lan BOARD=pi python ask_paho.py 'What does error E42 mean?'

MQTT_PORT, MQTT_USER, MQTT_PASSWORD and MQTT_CA (which asks for TLS) are taken from the environment, too.
"""

import json
import os
import sys
import threading
import uuid
from typing import Any

import paho.mqtt.client as mqtt

HOST, PORT = os.environ.get("MQTT_HOST", "127.0.0.1"), int(os.environ.get("MQTT_PORT", "1883"))
USER, PASSWORD, CA = (os.environ.get(f"MQTT_{name}") for name in ("USER", "PASSWORD", "CA"))
BOARD, ME = os.environ.get("BOARD", "demo"), os.environ.get("ME", USER or "me")
DEADLINE_SECONDS = float(os.environ.get("DEADLINE_SECONDS", "60"))
REQUEST, CANCEL, REPLY, STATUS = (
    f"edge/{BOARD}/{name}" for name in (f"request/{ME}", f"cancel/{ME}", f"reply/{ME}", "status")
)


class Question:
    """One question, asked again at each connect: the same `id` makes that safe, it is answered once."""

    def __init__(self, prompt: str) -> None:
        self.request = {
            "prompt": prompt,
            "id": uuid.uuid4().hex,
            "max_tokens": 256,
            "deadline_ms": int(DEADLINE_SECONDS * 1000),
        }
        self.printed, self.next_index, self.is_asked = "", 0, False
        self.known, self.over = threading.Event(), threading.Event()
        self.exit_status, self.why = 0, ""

    def end(self, exit_status: int, why: str = "") -> None:
        """Nothing more is waited for."""
        self.exit_status, self.why = exit_status, why
        self.known.set()
        self.over.set()

    def on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        """Both in one SUBSCRIBE, the answers first: who hears the status will hear the answer."""
        if reason.is_failure:
            self.end(69, f"the broker does not take us: {reason}")
        else:
            client.subscribe([(REPLY, 1), (STATUS, 1)])

    def on_message(self, client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        """A status, or something on the reply topic: answers of others, and types that are not known, are let be."""
        try:
            said = json.loads(message.payload)
        except ValueError:
            return
        if isinstance(said, dict) and message.topic == STATUS:
            self.on_status(client, said)
        elif isinstance(said, dict) and said.get("id") == self.request["id"]:
            {"delta": self.on_delta, "reply": self.on_reply}.get(said.get("type"), lambda _said: None)(said)

    def on_status(self, client: mqtt.Client, said: dict[str, Any]) -> None:
        """It is retained, so it comes at each connect. One that goes away in the middle comes back and begins again."""
        self.known.set()
        if said.get("state") in ("online", "loading", "unloaded"):
            client.publish(REQUEST, json.dumps(self.request), qos=1)
            self.is_asked = True
        elif not self.is_asked:
            self.end(69, f"the board is {said.get('state')}")

    def on_delta(self, said: dict[str, Any]) -> None:
        """The next piece; behind a gap the reply has it all."""
        if said["index"] == self.next_index:
            print(said["text"], end="", flush=True)
            self.printed, self.next_index = self.printed + said["text"], self.next_index + 1

    def on_reply(self, said: dict[str, Any]) -> None:
        """The end, and what of the text was not printed yet: all of it, where the board has begun anew."""
        is_more = said["text"].startswith(self.printed) or not said["text"]
        print(said["text"][len(self.printed) :] if is_more else f"\n{said['text']}", flush=True)
        if said["code"] == 200:
            self.end(0)
        else:
            self.end(4 if said["code"] == 408 else 1, f"{said['code']} {said['error']['message']}")


def ask(prompt: str) -> Question:
    """Ask and wait; a question that is over."""
    question = Question(prompt)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect, client.on_message = question.on_connect, question.on_message
    client.reconnect_delay_set(1, 8)
    if USER:
        client.username_pw_set(USER, PASSWORD)
    if CA:
        client.tls_set(CA)
    try:
        client.connect(HOST, PORT)
    except OSError as error:
        question.end(69, f"no broker at {HOST}:{PORT}: {error}")
        return question
    try:
        client.loop_start()
        if not question.known.wait(5):
            question.end(69, f"no word of a board named {BOARD}")
        elif not question.over.wait(DEADLINE_SECONDS + 5):
            question.end(4, "no answer in time")
    except KeyboardInterrupt:
        client.publish(CANCEL, str(question.request["id"]), qos=1).wait_for_publish(5)
        question.end(130, "cancelled")
    client.disconnect()
    client.loop_stop()
    return question


def main() -> int:
    """The exit status."""
    if len(sys.argv) != 2:
        print("usage: ask_paho.py QUESTION", file=sys.stderr)
        return 2
    question = ask(sys.argv[1])
    if question.why:
        print(f"ask: {question.why}", file=sys.stderr)
    return question.exit_status


if __name__ == "__main__":
    sys.exit(main())
