"""The embedded broker: for `edge demo`, and for a single box that is all there is. A fleet uses Mosquitto.

MQTT 5 and 3.1.1 over TCP and WebSocket; QoS 0, 1 and 2, retained messages, Will with delay, message expiry,
sessions that outlive a connection, Receive Maximum, passwords and access lists in Mosquitto's formats. Everything that
a client can make grow has a bound. Beside the WebSocket it hands out files over HTTP, where it is told a folder. No
shared subscriptions, no TLS, and nothing kept on disk. In come bytes, out go bytes.
Start reading in `core.py`.

    listener.py       sockets, and who is at the door
    pipes.py          TCP and WebSocket as bytes in and out
    origins.py        which web pages may open a WebSocket, and by which names files are had
    pages.py          files over HTTP, beside the WebSocket
    folders.py        which file a path means
    connection.py     one client's packets, from CONNECT to the end
    codec.py          bytes to packets and back, 3.1.1 translated
    checks.py         a packet walked through before the library reads it
    core.py           connect, publish, take leave: no socket, no clock of its own
    session.py        what is kept of one client: what waits, what is in flight
    subscriptions.py  who wants what
    topics.py         filters, and the tree that finds them
    retained.py       the last message of each topic
    delivering.py     a message to one client, or what is lost of it
    access.py         who may come in
    passwords.py      a password file
    acl.py            an access list
    limits.py         every bound
    telling.py        the log
"""
