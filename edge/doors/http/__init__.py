"""The HTTP door: what programs already speak, OpenAI's API above all, turned into requests of ours and back.

It knows nothing of queue and engine: a request becomes `edge.wire.asked.Asked`, and what is told of it becomes one
answer or a stream of events. Start reading in `app.py`, which has every path.

    app.py       the paths as a table, and what every request passes through
    server.py    the door: its socket, its life, its end; imports uvicorn
    entrance.py  what a request must be before anything of it is read: its size, its host, who sends it
    tokens.py    who may ask
    asking.py    a request's fields, and what comes of them: pieces, then the reply
    errors.py    our faults in OpenAI's shape
    chat.py      /v1/chat/completions
    completions.py  /v1/completions
    embeddings.py  /v1/embeddings
    ollama_embeddings.py  /api/embed and /api/embeddings
    events.py    a stream of server-sent events
    models.py    /v1/models
    health.py    /health and /metrics
    openapi.py   /openapi.json, the document of all paths
    calls.py     what of a text is kept until it is known whether it calls a function
    ollama.py    Ollama's API: its paths; ollama_asked.py has what they are asked, ollama_told.py what they tell,
                 ollama_models.py what is said of the model
    schemas.py   what these and the next take and give, for openapi.py
    responses.py  /v1/responses; responses_asked.py has what it is asked, responses_told.py what it tells
"""
