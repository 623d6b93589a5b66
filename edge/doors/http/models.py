"""`/v1/models`: what may be asked."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge.doors.http.asking import House, house_of
from edge.doors.http.errors import Refused


def served(house: House) -> list[dict[str, Any]]:
    """The board's model under each of its names, its own first; others; those that make vectors."""
    own, *others = house.abouts
    found = dict.fromkeys((house.model, *house.settings.aliases), own)
    found |= {each["model"]: each for each in others if each["model"] not in found}
    found |= {each["embeddings"]["model"]: each for each in reversed(house.abouts) if "embeddings" in each}
    return [
        {"id": name, "object": "model", "created": house.began, "owned_by": "edge-slm", "edge": about}
        for name, about in found.items()
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
