"""`/v1/responses`: OpenAI's newer way to ask, as far as it is needed to chat."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.responses import Response as Answer

from edge.doors.http.asking import asked_of, fields_of, house_of, reply_to, told
from edge.doors.http.errors import Refused
from edge.doors.http.events import streamed
from edge.doors.http.responses_asked import understood
from edge.doors.http.responses_told import Response


async def answer(request: Request) -> Answer:
    """A response, streamed where that is wanted."""
    house = house_of(request)
    request_of_it = understood(await fields_of(request))
    asked = asked_of(request, request_of_it.fields, "resp")
    response = Response(asked.id, request_of_it, house.about(request_of_it.fields.get("model")))
    try:
        if request_of_it.is_streamed:
            return await streamed(told(house.inside, asked), response)
        return JSONResponse(response.whole(await reply_to(house.inside, asked)))
    except Refused as refused:
        raise refused.named(request_of_it.asked_name) from None
