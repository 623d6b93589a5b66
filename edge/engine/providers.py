"""The execution providers, a row each: what comes with which wheel, and what a bundle for it has to be.

Nothing else in the program asks for a provider by its name: it asks the row. Importing this loads no runtime.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass
from typing import Literal

from edge.bundle import Provider
from edge.engine import Kind
from edge.errors import ConfigError

FloatType = Literal["float32", "float16"]


@dataclass(frozen=True)
class Row:
    """One execution provider.

    name: as settings and manifests have it. runtime_name: as onnxruntime has it. package: the wheel that it comes in,
    with bounds. module: of a plugin, which onnxruntime is told of when it runs; empty where the wheel is an onnxruntime
    that has the provider built in. locator: the module's function that names its library. extra: of ours, which
    brings such an onnxruntime in the place of the CPU's.
    genai_name: as onnxruntime-genai has it; empty for the CPU, which it takes where nothing is named. options: its own,
    pairs of name and value as both have them. paths: more of them, whose values functions of the
    module tell.
    kinds: the engines that answer on it, the best first; where there are none, lacks says why.
    float_type: what a bundle's activations are in. int8_cache: whether its keys and values may be in int8.
    shapes: `any` where a graph may have texts of any length, `fixed` where each length is a graph of its own.
    emulator: the kind of device of its that is only emulated, not hardware; empty where none is.
    systems: where its wheels exist, as `sys.platform` has them; empty for everywhere.
    """

    name: Provider
    runtime_name: str
    package: str
    module: str = ""
    locator: str = "get_library_path"
    extra: str = ""
    genai_name: str = ""
    options: tuple[tuple[str, str], ...] = ()
    paths: tuple[tuple[str, str], ...] = ()
    kinds: tuple[Kind, ...] = ()
    lacks: str = ""
    float_type: FloatType = "float32"
    int8_cache: Literal["by default", "when asked", "never"] = "never"
    shapes: Literal["any", "fixed"] = "any"
    emulator: str = ""
    systems: tuple[str, ...] = ()

    @property
    def is_batched(self) -> bool:
        """Whether our own engine answers on it, with all that only that can do."""
        return "batched" in self.kinds

    @property
    def tells_logprobs(self) -> bool:
        """Whether what answers on it is ours, be it over graphs of fixed shapes."""
        return self.is_batched or "static" in self.kinds

    @property
    def distribution(self) -> str:
        """Its package without bounds."""
        return self.package.partition(">")[0]

    @property
    def is_installed(self) -> bool:
        """Whether its package is there; nothing is loaded. Every onnxruntime, of whatever package, has the CPU."""
        if not (self.module or self.extra):
            return importlib.util.find_spec("onnxruntime") is not None
        try:
            importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return False
        return True

    @property
    def has_wheels(self) -> bool:
        """Whether there are any for this system."""
        return not self.systems or sys.platform in self.systems

    @property
    def how_to_install(self) -> str:
        """A line for a shell. A plugin needs no more than there is, and must not bring an onnxruntime of its own."""
        if self.extra:
            return f"`pip install 'edge-slm[{self.extra}]'` in an environment of its own"
        return f"`pip install --no-deps '{self.package}'`"

    def told(self) -> dict[str, str]:
        """Its options, with the paths of what its package brings. ConfigError as for `library`."""
        found = importlib.import_module(self.module) if self.paths and self.library() else None
        return {**dict(self.options), **{name: str(getattr(found, each)()) for name, each in self.paths}}

    def library(self) -> str:
        """The path of a plugin's library. ConfigError where its package is not there or has none for this machine."""
        missing = f"the provider {self.name} needs {self.distribution}"
        try:
            found = importlib.import_module(self.module)
        except ImportError as error:
            raise ConfigError(f"{missing}, which is not installed: {self.how_to_install}") from error
        try:
            return str(getattr(found, self.locator)())
        except (AttributeError, OSError, RuntimeError) as error:
            raise ConfigError(f"{missing}, which has no library for this machine: {error}") from error


ROWS = (
    Row(
        "cpu",
        "CPUExecutionProvider",
        "onnxruntime>=1.32,<1.33",
        kinds=("batched", "genai", "static"),
        int8_cache="by default",
    ),
    Row(
        "cuda",
        "CUDAExecutionProvider",
        "onnxruntime-gpu>=1.32,<1.33",
        extra="cuda",
        genai_name="cuda",
        kinds=("genai",),
        float_type="float16",
        int8_cache="when asked",
        systems=("linux", "win32"),
    ),
    Row(
        "webgpu",
        "WebGpuExecutionProvider",
        "onnxruntime-ep-webgpu>=0.4,<0.5",
        "onnxruntime_ep_webgpu",
        genai_name="WebGPU",
        kinds=("genai",),
    ),
    Row(
        "qnn",
        "QNNExecutionProvider",
        "onnxruntime-qnn>=2.7,<3",
        "onnxruntime_qnn",
        genai_name="QNN",
        paths=(("backend_path", "get_qnn_htp_path"),),
        kinds=("static",),
        int8_cache="by default",
        shapes="fixed",
        emulator="CPU",
        systems=("linux", "win32"),
    ),
    Row(
        "openvino",
        "OpenVINOExecutionProvider",
        "onnxruntime-ep-openvino>=1.8,<2",
        "onnxruntime_ep_openvino",
        genai_name="OpenVINO",
        lacks="it offers Intel's devices alone, and nobody has run a bundle on one",
        systems=("linux", "win32"),
    ),
    Row(
        "nv-tensorrt-rtx",
        "NvTensorRTRTXExecutionProvider",
        "onnxruntime-ep-nv-tensorrt-rtx-cu13>=0.5,<0.6",
        "onnxruntime_ep_nv_tensorrt_rtx",
        genai_name="NvTensorRtRtx",
        lacks="nobody has run a bundle on such a card",
        float_type="float16",
        systems=("linux", "win32"),
    ),
    Row(
        "mlx",
        "MLXExecutionProvider",
        "onnxruntime-ep-mlx>=0.31,<0.32",
        "onnxruntime_ep_mlx",
        "library_path",
        lacks="nobody has run a bundle on a Mac",
        systems=("darwin",),
    ),
    Row(
        "coreml",
        "CoreMLExecutionProvider",
        "onnxruntime>=1.32,<1.33",
        genai_name="CoreML",
        lacks="nobody has run a bundle on a Mac",
        shapes="fixed",
        systems=("darwin",),
    ),
)
"""Each by the name that `edge.bundle.Provider` has for it. docs/support.md says what was run of them, and on what."""


def row_of(name: str) -> Row:
    """The row of a provider; ConfigError where there is none of this name."""
    for row in ROWS:
        if row.name == name:
            return row
    raise ConfigError(f"there is no provider {name}: it is one of {', '.join(row.name for row in ROWS)}")
