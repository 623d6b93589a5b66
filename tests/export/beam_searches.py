"""Twenty beam searches, by the options of a job that each has."""

from __future__ import annotations

from typing import Any

ENDS = [5, 17, 23, 31, 44, 52, 60, 71]
"""Tokens that end a text beside the checkpoint's own, so that some end early."""
SEARCHES: list[dict[str, Any]] = [
    {"num_beams": 2},
    {"num_beams": 3, "length_penalty": 0.0},
    {"num_beams": 4, "early_stopping": True},
    {"num_beams": 5, "early_stopping": "never"},
    {"num_beams": 8},
    {"num_beams": 2, "stop_token_ids": ENDS},
    {"num_beams": 3, "stop_token_ids": ENDS, "length_penalty": 2.0},
    {"num_beams": 4, "stop_token_ids": ENDS, "length_penalty": -1.0},
    {"num_beams": 4, "stop_token_ids": ENDS, "early_stopping": True},
    {"num_beams": 5, "stop_token_ids": ENDS, "early_stopping": "never"},
    {"num_beams": 5, "stop_token_ids": ENDS, "early_stopping": "never", "length_penalty": 0.0},
    {"num_beams": 8, "stop_token_ids": ENDS[:3], "early_stopping": True, "length_penalty": 0.5},
    {"num_beams": 8, "stop_token_ids": ENDS, "early_stopping": "never", "length_penalty": 1.5},
    {"num_beams": 4, "stop_token_ids": ENDS, "min_tokens": 6},
    {"num_beams": 6, "stop_token_ids": ENDS, "min_tokens": 12, "early_stopping": True},
    {"num_beams": 3, "repetition_penalty": 1.3},
    {"num_beams": 4, "repetition_penalty": 1.7, "stop_token_ids": ENDS},
    {"num_beams": 8, "repetition_penalty": 0.8, "stop_token_ids": ENDS, "length_penalty": -0.5},
    {"num_beams": 4, "logit_bias": {9: 2.5, 33: -4.0}, "stop_token_ids": ENDS},
    {"num_beams": 7, "logit_bias": {5: -3.0}, "repetition_penalty": 1.2, "stop_token_ids": ENDS, "min_tokens": 3},
]
