"""Hugging Face folders whose matrices are rounded already, read as the library that rounded them reads them.

Start reading in base.py: what a way of storing matrices offers, and a folder seen through one. A file each: awq.py,
gptq.py, bits_and_bytes.py, compressed.py (compressed-tensors), fp8.py. raw.py is what they read of a folder, grid.py
what three of them have in common, codes on a grid; packing.py takes integers apart.
"""

from __future__ import annotations

from export.source.quantised.base import quantised, unrounded

__all__ = ["quantised", "unrounded"]
