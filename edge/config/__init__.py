"""Settings, from the environment (`EDGE_…`), `edge.toml`, systemd credentials and the defaults, in that order.

One section a room. `EDGE_BROKER__HOST=10.0.0.2` and

    [broker]
    host = "10.0.0.2"

say the same. A credential is a file in `$CREDENTIALS_DIRECTORY` named `broker_password`. Start reading in
`sections.py`.

    sections.py  what can be set, and what it means: a new key goes there, and into systemd/edge.toml.example
    models.py    the bundles that requests may name, beside the engine's
    tools.py     what a model may have the board do
    doors.py     the same of the other ways in and out
    scorers.py   whose functions weigh tokens
    upstream.py  the same of a server that answers in the board's place
    prompts.py   the same of how prompts are laid
    assist.py    of the one for Home Assistant's Assist
    http.py      of the one for programs that speak OpenAI's API
    addresses.py where they listen
    settings.py  all of it together
    files.py     where it is read from
    loading.py   what is in force, what is wrong and where
"""

from edge.config.assist import Assist, Thing
from edge.config.doors import HomeAssistant, Prometheus
from edge.config.files import config_file
from edge.config.http import Http
from edge.config.loading import describe, load_settings
from edge.config.models import Model
from edge.config.prompts import Prompts
from edge.config.scorers import Scorer
from edge.config.sections import (
    Broker,
    Documents,
    Engine,
    EngineKind,
    Governor,
    Journal,
    Limits,
    Store,
    Telemetry,
)
from edge.config.settings import FLEET_SPARE, Settings
from edge.config.tools import Tool
from edge.config.upstream import Upstream

__all__ = [
    "FLEET_SPARE",
    "Assist",
    "Broker",
    "Documents",
    "Engine",
    "EngineKind",
    "Governor",
    "HomeAssistant",
    "Http",
    "Journal",
    "Limits",
    "Model",
    "Prometheus",
    "Prompts",
    "Scorer",
    "Settings",
    "Store",
    "Telemetry",
    "Thing",
    "Tool",
    "Upstream",
    "config_file",
    "describe",
    "load_settings",
]
