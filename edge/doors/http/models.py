"""`/v1/models`: what may be asked."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.doors.http.asking import House, house_of
from edge.doors.http.errors import Refused


def served(house: House) -> list[dict[str, Any]]:
    """The model under each of its names, its own first; last the one that makes vectors, where there is one."""
    info = house.inside.info()
    beside = [info["embeddings"]["model"]] if "embeddings" in info else []
    names = list(dict.fromkeys([house.model, *house.settings.aliases, *beside]))
    return [
        {"id": name, "object": "model", "created": house.began, "owned_by": "edge-slm", "edge": info} for name in names
    ]


async def listed(request: Request) -> Response:
    """All of them."""
    return JSONResponse({"object": "list", "data": served(house_of(request))})


async def one(request: Request) -> Response:
    """One by its name."""
    name = request.path_params["model"]
    for each in served(house_of(request)):
        if each["id"] == name:
            return JSONResponse(each)
    raise Refused(404, f"{name[:100]!r} is not served here; /v1/models lists what is", "model")
