"""How a model's makers would have its tokens chosen: generation_config.json, read as Transformers reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from edge.bundle import Sampling
from export.errors import SourceError
from export.source import Source

IMPLIED = {"temperature": 1.0, "top_k": 50}
"""What `do_sample` means where the file names no other (Transformers 4, `GenerationConfig`)."""
OFF = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""What null means there: no such step."""


def sampling_of(source: Source) -> Sampling:
    """A source's sampling. Raises SourceError where a value is none that can be."""
    try:
        return Sampling.model_validate(named(source.generation))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise SourceError(f"{source.path}: {key} of its sampling: {first['msg']}") from error


def named(generation: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the file names. Without `do_sample` it is greedy, whatever temperature stands beside it."""
    known = {
        name: off if (value := generation[name]) is None else value for name, off in OFF.items() if name in generation
    }
    if generation.get("do_sample"):
        return {**IMPLIED, **known}
    return {name: value for name, value in known.items() if name == "repetition_penalty"}
