"""Writes `tests/data/quantised`: small rounded matrices, and what the libraries that round them make of them.

Run where torch and Transformers are, with a folder in which these were unpacked (`pip download --no-deps`): autoawq
0.2.9 as its sdist, auto_gptq 0.7.1, bitsandbytes 0.50.2 and compressed_tensors 0.20.1 (which wants loguru) as wheels.
The first two are asked for one file each, since the rest of them wants CUDA:

    python -m tests.export.quantised_data FOLDER
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.conftest import ROOT

TARGET = ROOT / "tests/data/quantised"
ROWS, COLUMNS, GROUP = 32, 64, 32


def by_file(name: str, path: Path) -> Any:
    """A module of a library, without the library."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(*shape: int) -> torch.Tensor:
    """Any 32-bit words."""
    return torch.randint(-(2**31), 2**31, shape, dtype=torch.int64).to(torch.int32)


def scales(*shape: int) -> torch.Tensor:
    """Small steps in half precision."""
    return (torch.rand(shape) * 0.02 + 1e-3).half()


def awq(folder: Path) -> None:
    """Any words at all are a matrix."""
    packing = by_file("packing_utils", next(folder.glob("autoawq-*/awq/utils/packing_utils.py")))
    held = {"m.qweight": words(COLUMNS, ROWS // 8), "m.qzeros": words(2, ROWS // 8), "m.scales": scales(2, ROWS)}
    wanted = packing.dequantize_gemm(*held.values(), 4, GROUP)
    write("awq", held, wanted.T)


def gptq(folder: Path) -> None:
    """4 and 8 bits; groups one after the other, and in the order of `desc_act`."""
    path = folder / "auto_gptq/auto_gptq/nn_modules/qlinear/qlinear_cuda.py"
    linear = by_file("qlinear_cuda", path).QuantLinear
    for bits, is_ordered in ((4, True), (4, False), (8, True)):
        order = torch.arange(COLUMNS, dtype=torch.int32) // GROUP
        held = {
            "m.qweight": words(COLUMNS * bits // 32, ROWS),
            "m.qzeros": points(2, ROWS, bits),
            "m.scales": scales(2, ROWS),
            "m.g_idx": order if is_ordered else order[torch.randperm(COLUMNS)],
        }
        layer = linear(bits, GROUP, COLUMNS, ROWS, bias=False)
        for name, value in held.items():
            setattr(layer, name.removeprefix("m."), value)
        wanted = layer(torch.eye(COLUMNS, dtype=torch.float16))
        write(f"gptq-{bits}{'' if is_ordered else '-ordered'}", held, wanted.T)


def points(groups: int, rows: int, bits: int) -> torch.Tensor:
    """Packed zero points, none of them the highest, which the format's first version cannot hold."""
    found = torch.randint(0, (1 << bits) - 1, (groups, rows))
    found = found.reshape(groups, -1, 32 // bits) << torch.arange(0, 32, bits)
    return found.sum(-1).to(torch.int32)


def bits_and_bytes(folder: Path) -> None:
    """nf4 and fp4, scales rounded too and not, in several types; int8."""
    sys.path.insert(0, str(folder / "bitsandbytes"))
    import bitsandbytes.functional as bnb

    for kind, nested, dtype in (
        ("nf4", True, torch.bfloat16),
        ("nf4", False, torch.float16),
        ("fp4", True, torch.float32),
    ):
        weight = (torch.randn(ROWS, COLUMNS) * 0.1).to(dtype)
        packed, state = bnb.quantize_4bit(weight, blocksize=64, compress_statistics=nested, quant_type=kind)
        held = {f"m.weight.{name}": value for name, value in state.as_dict(packed=True).items()}
        held["m.weight"] = packed
        write(f"bnb-{kind}{'-nested' if nested else ''}", held, bnb.dequantize_4bit(packed, state))
    whole, steps, _ = bnb.int8_vectorwise_quant((torch.randn(ROWS, COLUMNS) * 0.1).half())
    held = {"m.weight": whole, "m.SCB": steps, "m.weight_format": torch.zeros((), dtype=torch.uint8)}
    write("bnb-int8", held, bnb.int8_vectorwise_dequant(whole, steps))


def compressed(folder: Path) -> None:
    """4 bits with zero points, 8 without."""
    sys.path.insert(0, str(folder / "compressed_tensors"))
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import dequantize

    for bits, symmetric in ((4, False), (8, True)):
        half = 1 << bits - 1
        whole = torch.randint(-half, half, (ROWS, COLUMNS), dtype=torch.int8)
        zeros = torch.randint(-half, half, (ROWS, 2), dtype=torch.int8)
        steps = scales(ROWS, 2).to(torch.bfloat16)
        held = {
            "m.weight_packed": pack_to_int32(whole, bits),
            "m.weight_scale": steps,
            "m.weight_shape": torch.tensor([ROWS, COLUMNS]),
        }
        if not symmetric:
            held["m.weight_zero_point"] = pack_to_int32(zeros, bits, packed_dim=0).contiguous()
        told = QuantizationArgs(num_bits=bits, symmetric=symmetric, strategy="group", group_size=GROUP)
        write(f"compressed-{bits}", held, dequantize(whole, steps, None if symmetric else zeros, args=told))


def fp8(_folder: Path) -> None:
    """Tiles of 16 times 32, by Transformers itself."""
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    held = {
        "m.weight": torch.randn(ROWS, COLUMNS).to(torch.float8_e4m3fn),
        "m.weight_scale_inv": torch.rand(ROWS // 16, COLUMNS // 32) * 0.1,
    }
    write("fp8", held, Fp8Dequantize(None)._dequantize_one(held["m.weight"], held["m.weight_scale_inv"]))


def write(name: str, held: dict[str, torch.Tensor], wanted: torch.Tensor) -> None:
    """A file with both."""
    tensors = {key: value.contiguous() for key, value in held.items()}
    save_file({**tensors, "wanted": wanted.float().contiguous()}, TARGET / f"{name}.safetensors")


if __name__ == "__main__":
    TARGET.mkdir(exist_ok=True)
    for each in (awq, gptq, bits_and_bytes, compressed, fp8):
        torch.manual_seed(0)
        each(Path(sys.argv[1]))
