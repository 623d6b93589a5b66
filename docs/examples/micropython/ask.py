"""Ask a board one question and show its answer as it comes. MicroPython, MQTT 3.1.1; umqtt.simple.

On the microcontroller, once: `mpremote mip install umqtt.simple` and `mpremote cp ask.py :`. Then:

    import ask
    ask.ask(lambda piece: lcd.write(piece), "What does error E42 mean?", host="broker.lan", board="pi")

Of the answer nothing is kept but the piece that has just come. At its end comes a message that has all of it once more,
which umqtt takes into memory as a whole: MAX_TOKENS bounds it, 400 bytes and about 5 for each.
"""

import binascii
import json
import os
import sys
import time

from umqtt.simple import MQTTClient, MQTTException

MAX_TOKENS = 128
PING_SECONDS = 20
LOST = (OSError, IndexError)
"""What umqtt raises where the connection is gone, in the middle of a packet too."""


class NotAnswered(Exception):
    """Its arguments: an exit status, and why."""


class Question:
    """One question, and how far its answer has come. show: a function that gets each piece of text."""

    def __init__(self, show, prompt, board, me, seconds):
        self.show, self.board, self.me = show, board, me
        self.id = binascii.hexlify(os.urandom(8)).decode()
        request = {"prompt": prompt, "id": self.id, "max_tokens": MAX_TOKENS, "deadline_ms": int(seconds * 1000)}
        self.request = json.dumps(request).encode()
        self.state = ""
        self.is_asked = self.is_over = False
        self.next_index = self.shown = 0
        self.client = None

    def topic(self, name):
        """One of ours."""
        return f"edge/{self.board}/{name}/{self.me}".encode()

    def connect(self, make_client):
        """Hear the answers, then the board's status, which is retained; the client that does."""
        self.client = make_client()
        self.client.set_callback(self.heard)
        self.client.connect()
        self.client.subscribe(self.topic("reply"), 1)
        self.client.subscribe(f"edge/{self.board}/status".encode(), 1)
        self.state = ""

    def heard(self, topic, message):
        """Whatever comes. Answers of others, and types that are not known, are let be."""
        try:
            said = json.loads(message)
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        if topic.endswith(b"/status"):
            self.state = said.get("state", "")
        elif said.get("id") == self.id and said.get("type") == "delta":
            self.piece(said)
        elif said.get("id") == self.id and said.get("type") == "reply":
            self.end(said)

    def piece(self, said):
        """The next one; behind a gap the reply has it all."""
        if said["index"] == self.next_index:
            self.show(said["text"])
            self.shown += len(said["text"])
            self.next_index += 1

    def end(self, said):
        """What of the text was not shown yet; of one that a board has begun anew it is the end alone."""
        self.is_over = True
        if said["text"][self.shown :]:
            self.show(said["text"][self.shown :])
        if said["code"] != 200:
            raise NotAnswered(4 if said["code"] == 408 else 1, "{} {}".format(said["code"], said["error"]["message"]))

    def ask(self):
        """Publish it, if the board can be asked, once for each connection: the same `id` is answered once."""
        if self.state in ("online", "loading", "unloaded"):
            self.state = ""
            self.is_asked = True
            self.client.publish(self.topic("request"), self.request, qos=1)
        elif self.state and not self.is_asked:
            raise NotAnswered(69, "the board is " + self.state)


def ask(show, prompt, host, port=0, user=None, password=None, ssl=None, board="demo", me=None, seconds=60):
    """Ask and wait, over lost connections. NotAnswered where the board refuses, is away, or the time is over.

    ssl: an `ssl.SSLContext`, for a broker with TLS. me: this device's level of the topics, its user unless it is said.
    """
    question = Question(show, prompt, board, me or user or "me", seconds)

    def make_client():
        return MQTTClient("ask-" + question.id, host, port, user, password, 60, ssl)

    begun = time.time()
    try:
        question.connect(make_client)
    except (OSError, IndexError, MQTTException) as error:
        raise NotAnswered(69, f"no broker at {host} that takes us: {error}")
    while not question.is_over:
        try:
            wait(question, begun, seconds)
        except LOST:
            time.sleep(1)
            try:
                question.connect(make_client)
            except LOST:
                pass
    question.client.disconnect()


def wait(question, begun, seconds):
    """Until the answer is whole; raises what is in LOST where the connection is lost."""
    pinged = time.time()
    while not question.is_over:
        now = time.time()
        if now - begun > seconds + 5:
            raise NotAnswered(4, "no answer in time")
        if now - begun > 5 and not question.is_asked:
            raise NotAnswered(69, "no word of a board named " + question.board)
        if now - pinged > PING_SECONDS:
            question.client.ping()
            pinged = now
        question.client.check_msg()
        question.ask()
        time.sleep(0.02)


def main():
    """On a computer, in MicroPython's unix port: settings are the environment's."""
    if len(sys.argv) != 2:
        print("usage: micropython ask.py QUESTION", file=sys.stderr)
        return 2
    get = os.getenv
    try:
        ask(
            lambda piece: sys.stdout.write(piece),
            sys.argv[1],
            get("MQTT_HOST") or "127.0.0.1",
            int(get("MQTT_PORT") or 1883),
            get("MQTT_USER"),
            get("MQTT_PASSWORD"),
            board=get("BOARD") or "demo",
            me=get("ME"),
            seconds=int(get("DEADLINE_SECONDS") or 60),
        )
    except NotAnswered as error:
        print("\nask: " + error.args[1], file=sys.stderr)
        return error.args[0]
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
