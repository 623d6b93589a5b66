"""Ollama's API: its two ways to ask, and what programs look for before they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from edge.doors.http import ollama_asked, ollama_models
from edge.doors.http.asking import House, asked_of, fields_of, house_of, reply_to, told
from edge.doors.http.errors import Refused
from edge.doors.http.events import streamed
from edge.doors.http.ollama_asked import LATEST
from edge.doors.http.ollama_told import Lines, Way
from edge.errors import BadRequest
from edge.wire.chat import validated

Understand = Callable[[Mapping[str, Any], Mapping[str, Any], bool], ollama_asked.Understood]
BUNDLES = "models come to a board as bundles, not through this API: see `edge bundle` and docs/operator.md"


async def chat(request: Request) -> Response:
    """The next turn of a conversation."""
    return await _answered(request, "chat", ollama_asked.chat)


async def generate(request: Request) -> Response:
    """The answer to a prompt."""
    return await _answered(request, "generate", ollama_asked.generate)


async def _answered(request: Request, way: Way, understand: Understand) -> Response:
    house, body = house_of(request), await fields_of(request)
    about = house.about(body.get("model"))
    understood = understand(body, about, about["model"] in house.inside.models())
    lines = Lines(way, understood)
    name = _own_name(house, understood.model) or understood.model
    fields = {**understood.fields, "model": name}
    asked = asked_of(request, fields, "ollama")
    if understood.is_empty:
        check_served(house, understood.model)
        _check_rest(understood.fields)
        await _moved(request, fields, understood.is_unloaded)
        return JSONResponse(lines.nothing())
    try:
        if understood.is_streamed:
            return await streamed(told(house.inside, asked), lines)
        return JSONResponse(lines.whole(await reply_to(house.inside, asked)))
    except Refused as refused:
        raise refused.named(ollama_asked.asked_name) from None


async def _moved(request: Request, fields: dict[str, Any], is_unloaded: bool) -> None:
    """A model beside the board's own is loaded, or goes, for who asks it nothing: by an answer of one token."""
    house = house_of(request)
    stands = house.inside.models().get(str(fields["model"]))
    if stands is None or (is_unloaded and not stands["is_loaded"]):
        return
    least: dict[str, Any] = {"prompt": ".", "max_tokens": 1, "keep": False}
    least |= {name: fields[name] for name in ("model", "keep_alive_seconds") if name in fields}
    await reply_to(house.inside, asked_of(request, least, "ollama"))


async def running(_request: Request) -> Response:
    """What programs look for."""
    return PlainTextResponse("Ollama is running")


async def version(request: Request) -> Response:
    """Of the API, and the board's own."""
    own = house_of(request).inside.info().get("version")
    return JSONResponse({"version": ollama_models.API_VERSION, "edge": own})


async def tags(request: Request) -> Response:
    """The models that there are: each that answers, the board's own under each of its names; those for vectors."""
    house, (own, *others) = house_of(request), house_of(request).abouts
    found = [(name, own) for name in _names(house)] + [(each["model"], each) for each in others]
    found += [(each["model"], each) for each in _of_vectors(house)]
    return JSONResponse({"models": [ollama_models.entry(name, about, _since(house)) for name, about in found]})


async def loaded(request: Request) -> Response:
    """Those that are in memory."""
    house, (own, *others) = house_of(request), house_of(request).abouts
    found = [] if house.inside.load()["reason"] == "loading" else [ollama_models.loaded(own, _since(house))]
    stands = house.inside.models()
    found += [ollama_models.loaded(each, _since(house), stands[each["model"]]) for each in others]
    return JSONResponse({"models": [each for each in found if each]})


async def show(request: Request) -> Response:
    """What is known of one."""
    house = house_of(request)
    about = _about(house, _named(await fields_of(request)))
    return JSONResponse(ollama_models.shown(about, _since(house)))


async def pull(request: Request) -> Response:
    """Of the model that is there already: done. Of any other it is refused."""
    name = _named(await fields_of(request))
    try:
        _about(house_of(request), name)
    except Refused as refused:
        raise Refused(404, f"{refused.message}, and it cannot be pulled: {BUNDLES}", "model") from None
    return JSONResponse({"status": "success"})


async def unchanged(_request: Request) -> Response:
    """Whatever would make, move or remove a model."""
    raise Refused(403, BUNDLES)


def _check_rest(fields: Mapping[str, Any]) -> None:
    """That what is said beside is right, though nothing is asked. Refused where it is not."""
    try:
        validated({**fields, "prompt": "nothing"})
    except BadRequest as fault:
        refused = Refused.of(fault).named(ollama_asked.asked_name)
    else:
        return
    raise refused


def _about(house: House, model: str) -> Mapping[str, Any]:
    """The info message of a model, be it one that answers or one that makes vectors. Refused where there is none."""
    for vectors in _of_vectors(house):
        if vectors["model"] == model.removesuffix(LATEST):
            return vectors
    check_served(house, model)
    return house.about(model)


def _of_vectors(house: House) -> list[Mapping[str, Any]]:
    """The info messages of the models that make vectors."""
    return [made for each in house.abouts if (made := ollama_models.of_vectors(each)) is not None]


def check_served(house: House, model: str) -> None:
    """Refused where it is not the board's. model: with a tag or not."""
    if _own_name(house, model) is None:
        raise Refused(
            404,
            f"model {model[:100]!r} not found: this board has {', '.join(each['model'] for each in house.abouts)}",
            "model",
        )


def _names(house: House) -> list[str]:
    """What the board's own model is called: by its own name, and as the operator calls it."""
    return list(dict.fromkeys([house.model, *house.settings.aliases]))


def _own_name(house: House, model: str) -> str | None:
    """The one of these that is meant, `:latest` being as good as no tag; None where it is none of them."""
    names = [*(each["model"] for each in house.abouts), *_names(house)]
    untagged = {name.removesuffix(LATEST): name for name in names}
    return untagged.get(model.removesuffix(LATEST))


def _named(body: Mapping[str, Any]) -> str:
    """The model that a body is about; `name` is its older word."""
    name = body.get("model") or body.get("name")
    if not isinstance(name, str):
        raise Refused(400, "model is required", "model")
    return name


def _since(house: House) -> str:
    return datetime.fromtimestamp(house.began, UTC).isoformat().replace("+00:00", "Z")
