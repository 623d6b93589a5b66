"""`edge schema`: the JSON Schema of each message of a board, from the models that the tests hold the daemon to."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from edge.wire.announced import Info, Status
from edge.wire.desired import Desired
from edge.wire.event import Event
from edge.wire.load import Load, Member
from edge.wire.replied import Said
from edge.wire.reported import Report
from edge.wire.telemetry import Telemetry

SCHEMAS: dict[str, tuple[type[BaseModel], str]] = {
    "status": (Status, "edge/<device>/status, retained"),
    "info": (Info, "edge/<device>/info, retained"),
    "telemetry": (Telemetry, "edge/<device>/telemetry, each period"),
    "event": (Event, "edge/<device>/event, at each change"),
    "load": (Load, "edge/<device>/load, retained"),
    "member": (Member, "edge/<fleet>/member/<device>, retained"),
    "desired": (Desired, "edge/<device>/desired, retained, for the board to read"),
    "reported": (Report, "edge/<device>/reported, retained"),
    "reply": (Said, "edge/<device>/reply, to an asker"),
}
"""Each message's model, and its topic."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which message."""
    parser.add_argument("message", nargs="?", choices=SCHEMAS, help="its schema; without one, what there is")


def main(options: argparse.Namespace) -> int:
    """Print a schema, or the names of all."""
    if options.message is None:
        print("\n".join(f"{name:10} {topic}" for name, (_, topic) in SCHEMAS.items()))
    else:
        print(text_of(options.message))
    return 0


def text_of(message: str) -> str:
    """A schema as it is printed, and as it lies in docs/schemas."""
    return json.dumps(schema_of(message), indent=2)


def schema_of(message: str) -> dict[str, Any]:
    """The schema of a message (JSON Schema, draft 2020-12)."""
    model, topic = SCHEMAS[message]
    made = model.model_json_schema(schema_generator=Untitled)
    return {"$schema": GenerateJsonSchema.schema_dialect, "$comment": topic, **made, "title": message}


class Untitled(GenerateJsonSchema):
    """Without a title for each field, which would say its name again."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """Never."""
        return False
