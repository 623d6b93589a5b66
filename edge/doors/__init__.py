"""Other ways in and out of the daemon: each turns its protocol into ours and knows nothing of queue and engine.

In come telemetry messages and what arrives on topics of their own (`edge/service/protocols.py`, Door); out go messages.
Start reading in `home_assistant.py`.

    home_assistant.py  Home Assistant finds the board: announced, kept right, taken back
    entities.py        what it is shown of a telemetry message: a row an entity, and its template
    discovery.py       the message that says so
    announced.py       what it was told, kept on disk
    places.py          where
    listening.py       a socket at an address, or why not
    upstream.py        another server that answers in the board's place
    upstream_chunks.py what comes from it
    prometheus.py      /metrics, and the file for node_exporter; imports the client library
    metrics.py         what they have of a telemetry message: a row a metric
    assist/            Home Assistant's Assist asks, in Wyoming's events
    http/              programs that speak OpenAI's API ask
"""
