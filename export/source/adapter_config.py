"""adapter_config.json of a LoRA adapter, every key in PEFT's own terms, so that none changes the sum in silence.

Source: PEFT 0.21, `LoraConfig` and what reads it (`get_pattern_key`, `check_target_module_exists`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export.errors import SourceError, UnsupportedError
from export.families.keys import Table, check_known, named
from export.families.values import number, whole
from export.source.shards import read_json

FILE = "adapter_config.json"
ALL_LINEAR = "all-linear"
"""PEFT's word for every matrix of the layers."""
ADVICE = "merge it with PEFT's merge_and_unload() and export that"
NEW_BASE = "the adapter changed the base's own weights, too; convert it to a plain LoRA with PEFT, or merge it there"
KNOWN: Table = {
    **named(
        "it is read",
        "peft_type r lora_alpha use_rslora rank_pattern alpha_pattern target_modules exclude_modules"
        " layers_to_transform layers_pattern bias",
    ),
    **named(
        "it tells where the adapter is from",
        "base_model_name_or_path revision task_type auto_mapping peft_version inference_mode megatron_core",
    ),
    **named(
        "it counts in training alone",
        "lora_dropout loftq_config eva_config corda_config runtime_config qalora_group_size ephemeral_gpu_offload",
    ),
    **named(f"a plain sum does not carry it; {ADVICE}", "use_dora lora_bias fan_in_fan_out use_qalora", False),
    **named(f"a plain sum does not carry it; {ADVICE}", "ensure_weight_tying merge_weights", False),
    **named(
        f"a plain sum does not carry it; {ADVICE}",
        "modules_to_save layer_replication target_parameters trainable_token_indices alora_invocation_tokens"
        " megatron_config velora_config monteclora_config lora_ga_config arrow_config kasa_config use_bdlora"
        " enable_lora",
        [],
        {},
        False,
    ),
    **named(NEW_BASE, "init_lora_weights", True, False, "gaussian", "eva", "orthogonal"),
}


class AdapterConfig:
    """What an adapter does to each module. Raises SourceError and UnsupportedError, naming the key."""

    def __init__(self, folder: Path) -> None:
        self._where = f"{folder}/{FILE}"
        self._config = config = read_json(folder / FILE)
        if config.get("peft_type") != "LORA":
            raise UnsupportedError(f"{folder} is a {config.get('peft_type')} adapter; LoRA adapters can be merged")
        if config.get("bias", "none") != "none":
            raise UnsupportedError(f"{folder} trained biases, which this model has none of")
        check_known(config, KNOWN, self._where)

    @property
    def alpha(self) -> float:
        """What the adapter is scaled by, over its rank, where no pattern says otherwise."""
        return number(self._config, "lora_alpha", self._where)

    def rank_of(self, module: str) -> int:
        """The rank of a module's pair."""
        return whole({"r": self._patterned("rank_pattern", module, "r")}, "r", self._where)

    def scale_of(self, module: str) -> float:
        """Alpha / r, or alpha / sqrt(r) where the adapter was trained so."""
        alpha = number(
            {"lora_alpha": self._patterned("alpha_pattern", module, "lora_alpha")}, "lora_alpha", self._where
        )
        rank = self.rank_of(module)
        return alpha / (math.sqrt(rank) if self._config.get("use_rslora") else rank)

    def check_target(self, module: str) -> None:
        """The module is none that PEFT would leave as it is, whatever the file has for it."""
        if not self._names("target_modules", module):
            raise SourceError(f"the adapter has {module}, which is not in target_modules of {self._where}")
        if self._names("exclude_modules", module) or not self._is_in_layers(module):
            raise SourceError(f"the adapter has matrices for {module}, which {self._where} excludes")

    def _patterned(self, patterns: str, module: str, usual: str) -> Any:
        """A module's own value, else everybody's."""
        given = self._config.get(patterns) or {}
        if not isinstance(given, Mapping):
            raise SourceError(f"{self._where} says {patterns}: {given!r}, which should be an object")
        own = (value for pattern, value in given.items() if self._match(rf"(.*\.)?({pattern})$", module))
        return next(own, self._config.get(usual))

    def _match(self, pattern: str, module: str) -> re.Match[str] | None:
        try:
            return re.match(pattern, module)
        except re.error as error:
            raise SourceError(f"{self._where} has a pattern that is none, {pattern!r}: {error}") from error

    def _names(self, key: str, module: str) -> bool:
        """As PEFT looks a module up: one pattern for the whole name, or ends of names."""
        names = self._config.get(key) or []
        if names == ALL_LINEAR:
            return module != "lm_head"
        if isinstance(names, str):
            return self._match(rf"(?:{names})\Z", module) is not None
        if not isinstance(names, list):
            raise SourceError(f"{self._where} says {key}: {names!r}, which should be a list of names")
        return any(module == name or module.endswith(f".{name}") for name in names)

    def _is_in_layers(self, module: str) -> bool:
        """Whether the module's layer is among those to transform, where the config names some."""
        wanted = self._config.get("layers_to_transform")
        if wanted is None or wanted == []:
            return True
        patterns = self._config.get("layers_pattern") or [r"[^.]*"]
        found = (
            self._match(rf"(?:^|.*?\.){pattern}\.(?P<index>\d+)\.", module)
            for pattern in ([patterns] if isinstance(patterns, str) else patterns)
        )
        index = next((int(match["index"]) for match in found if match), None)
        layers = wanted if isinstance(wanted, list) else [wanted]
        return index in layers
