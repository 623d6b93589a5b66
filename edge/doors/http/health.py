"""`/health` for who looks after the board, `/metrics` for who measures it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.doors.http.asking import house_of

NOT_THERE = ("loading", "stopping")
"""Why a board takes nothing, where it is not that it has enough."""


async def live(_request: Request) -> Response:
    """Whether the daemon's loop turns."""
    return JSONResponse({"status": "ok"})


async def health(request: Request) -> Response:
    """Whether the model is there: 503 while it loads and while the daemon stops."""
    load = house_of(request).inside.load()
    is_there = load["reason"] not in NOT_THERE
    return JSONResponse({"status": "ok" if is_there else load["reason"], "load": load}, 200 if is_there else 503)


async def ready(request: Request) -> Response:
    """Whether a request that comes now is wanted: 503 and the reason where it is not."""
    load = house_of(request).inside.load()
    return JSONResponse(
        {"status": "ok" if load["accepts"] else load["reason"], "load": load}, 200 if load["accepts"] else 503
    )


async def metrics(request: Request) -> Response:
    """The last readings in Prometheus's text format."""
    return Response(house_of(request).metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")
