"""Phi-3 and Phi-3.5 vision: Phi-3's decoder, and a picture tower before it (export/vision.py)."""

from dataclasses import replace

from export.families import phi3

FAMILY = replace(
    phi3.FAMILY, name="phi3_v", architectures=("Phi3VForCausalLM",), genai_type="phi3v", sees_pictures=True
)
