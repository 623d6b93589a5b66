"""What crosses the network, `docs/wire.md` in code: no socket, no clock, no file. Of ours it imports errors alone.

In come a topic, bytes and MQTT properties; out come a `Request`, a `Cancel`, a `Chunk`, or the `Fault` that says why
not, and the messages that answer them. Start reading in `message.py`, then `request.py`.

    message.py    one MQTT message; the word that every other file uses
    topics.py     every topic's name
    text.py       a payload's bytes to text
    fields.py     a payload's text to JSON fields, bounded before it is parsed
    shape.py      one rule for every field: null, unknown names, numbers, where something is wrong
    chat.py       fields to what is asked: turns, options, schema
    choosing.py   what moves an answer's tokens beside sampling
    embeddings.py texts whose vectors are asked for, and vectors as they are told
    foreign.py    the OpenAI API's fields that boards do not have
    turns.py      one turn of a conversation
    parts.py      texts and pictures of a turn
    volatile.py   what changes from call to call, laid last
    pictures.py   what a picture costs, and how it crosses to the engine
    tools.py      functions that a model may call
    board_tools.py  those of the board's own: what is called, and what came of it
    matching.py   whether arguments are what such a tool takes
    schema.py     JSON schemas that answers are held to, and what is wrong with one
    inhabited.py  whether anything can match a schema
    passed.py     a request as it goes to another server, and what comes back
    asked.py      a request that comes through a door, and what the door opens to
    request.py    a message to a request or a cancel, and where its answer goes
    afterwards.py what a client says of what it asked: to forget it, that an answer was good
    command.py    what a board is told to do
    chunks.py     requests too large for one message
    reply.py      what an asker is told: queued, a piece, the end
    telemetry.py  what a board tells of itself each period, as a schema
    announced.py  status and info, as schemas
    load.py       whether a board takes more, for who chooses one and for its fleet
    desired.py    which bundle a board is to run
    reported.py   which one it runs, as a schema
    event.py      what has changed on a board
    replied.py    what comes back on a reply topic, as a schema
"""
