"""Phi-3 and Phi-3.5 vision: Phi-3's decoder, and a picture tower before it (export/vision.py)."""

from dataclasses import replace

from export.families.keys import named
from export.families.phi3 import FAMILY as PHI3

FAMILY = replace(
    PHI3,
    name="phi3_v",
    architectures=("Phi3VForCausalLM",),
    genai_type="phi3v",
    sees_pictures=True,
    model_type="phi3_v",
    keys={**PHI3.keys, **named("export/vision.py reads it", "img_processor embd_layer")},
    turns_part=False,
)
