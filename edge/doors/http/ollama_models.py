"""What a program is told of the board's model in Ollama's API: its list, its details, what is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from edge.doors.http.ollama_asked import LATEST

API_VERSION = "0.13.0"
"""Of Ollama, whose API this is: programs look whether it is new enough for what they want."""
VECTORS = "embedding"
"""What a model is called that makes vectors, where Ollama has an architecture."""
FOR_EVER = "2300-01-01T00:00:00Z"
"""When a model that stays loaded goes."""
STAYS = {"is_loaded": True, "seconds_left": None, "memory_bytes": None}
"""How the board's own model stands."""
CAPABILITIES = {"text": "completion", "json_schema": "tools", "vision": "vision", "embedding": "embedding"}
"""Ollama's words for a bundle's. Tools are held to their schemas, so a board that knows schemas has them."""


def entry(name: str, about: Mapping[str, Any], since: str) -> dict[str, Any]:
    """The model as lists have it. name: its own, or one that the operator has given it. about: the info message.

    since: when the door was opened (RFC 3339). Of the model's size the wire says nothing: it is 0.
    """
    name = name if ":" in name else name + LATEST
    digest = hashlib.sha256(f"{about['model']} {about['model_version']}".encode()).hexdigest()
    return {"name": name, "model": name, "modified_at": since, "size": 0, "digest": digest, "details": details(about)}


def details(about: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of how it is made."""
    family = about["family"]
    made = {"parent_model": "", "format": "onnx", "family": family, "families": [family]}
    return made | {"parameter_size": "", "quantization_level": "", "context_length": about["context_length"]}


def loaded(about: Mapping[str, Any], since: str, stands: Mapping[str, Any] = STAYS) -> dict[str, Any]:
    """A model as the list of those that are loaded has it; nothing where it is not. stands: as telemetry has it."""
    if not stands["is_loaded"]:
        return {}
    found = entry(about["model"], about, since)
    del found["modified_at"]
    left = stands["seconds_left"]
    expires = FOR_EVER if left is None else (datetime.now(UTC) + timedelta(seconds=left)).isoformat()
    size = stands["memory_bytes"] or 0
    return found | {"expires_at": expires, "size": size, "size_vram": 0, "context_length": about["context_length"]}


def shown(about: Mapping[str, Any], since: str) -> dict[str, Any]:
    """All that is told of it."""
    family, sampling = about["family"], about["sampling"]
    facts = {"general.architecture": family, "general.basename": about["model"]}
    if "dimensions" in about:
        facts[f"{family}.embedding_length"] = about["dimensions"]
    return {
        "modelfile": f"# Not made by a Modelfile: this is a bundle of Edge SLM.\nFROM {about['model']}\n",
        "parameters": "\n".join(f"{name:<30} {value}" for name, value in sampling.items()),
        "template": "",
        "details": details(about),
        "model_info": {**facts, f"{family}.context_length": about["context_length"]},
        "capabilities": [CAPABILITIES[each] for each in about["capabilities"] if each in CAPABILITIES],
        "modified_at": since,
    }


def of_vectors(about: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """An info message of the model that makes vectors beside the one that answers; None where there is none."""
    vectors = about.get("embeddings")
    if vectors is None:
        return None
    told = {"model": vectors["model"], "family": VECTORS, "context_length": vectors["tokens_max"], "sampling": {}}
    return {**about, **told, "capabilities": [VECTORS], "dimensions": vectors["dimensions"]}
