"""The broker's side: messages in and out over MQTT 5 or 3.1.1.

In come packets, out come `edge.wire` messages, and back. Start reading in `transport.py`.

    transport.py  paho-mqtt as the daemon's and the client's connection, the only file that imports it
    client.py     one who asks: `edge ask`, `edge demo` and your own Python
    broker/       the embedded broker, for a demo and for a box that is all there is
"""
