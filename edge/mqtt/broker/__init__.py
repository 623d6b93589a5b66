"""The embedded broker: for `edge demo`, and for a single box that is all there is. A fleet uses Mosquitto.

MQTT 5 and 3.1.1 over TCP and WebSocket; QoS 0 and 1, retained messages, Will with delay, message expiry,
sessions that outlive a connection, Receive Maximum. No QoS 2, no shared subscriptions, and nothing on disk.
Start reading in `core.py`.

    codec.py     bytes to packets and back, 3.1.1 translated
    core.py      sessions, subscriptions, routing: no socket, no clock of its own
    listener.py  sockets
"""
