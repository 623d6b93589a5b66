"""The broker's side: messages in and out over MQTT 5 or 3.1.1.

In come packets, out come `edge.wire` messages, and back. Start reading in `transport.py`.

    transport.py       the daemon's and the client's connection, which comes back by itself
    paho_client.py     paho-mqtt and what it lacks; the only file that imports it
    failures.py        why there is no connection, in words
    aliases.py         numbers for topics
    inbox.py           what has arrived
    unacknowledged.py  what the broker has not answered for
    fleet.py           the daemon's second connection, for its fleet's requests
    client.py          one who asks: `edge ask`, `edge demo` and your own Python
    broker/            the embedded broker, for a demo and for a box that is all there is
"""
