"""`manifest.json`: what it says, part by part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Literal[1] = 1
MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
"""Beside the manifest, where its maker signed all other files (OpenSSF Model Signing); not in the manifest itself."""
GRAPH, WEIGHTS = "model.onnx", "model.onnx.data"
"""The decoder, and the weights of all graphs."""
VISION, EMBEDDING = "vision.onnx", "embedding.onnx"
"""Of a bundle that sees pictures: its tower, and what puts pictures among words."""
SENTENCE_GRAPH, SENTENCE_TOKENIZER = "sentences/model.onnx", "sentences/tokenizer.json"
"""Of a bundle that brings an embedding model: what makes vectors of sentences, its weights within."""
ADAPTER_GRAPH, ADAPTERS = "adapters.onnx", "adapters"
"""Of a bundle with adapters: its decoder with a branch for them, and the folder of their `NAME.safetensors`."""
TOGETHER_GRAPH = "adapters-together.onnx"
"""The decoder with branches for rows of several adapters; some bundles with adapters are without."""
DOCUMENTS = "documents"
"""The folder of indexes of documents that travel in a bundle, each `NAME.index`."""

SLICE_GRAPH, TOKEN_GRAPH = "slice.onnx", "token.onnx"
"""Of a bundle of fixed shapes: the decoder for a slice of a prompt, and the one for a token, over one cache."""

Provider = Literal["cpu", "cuda", "webgpu", "qnn", "openvino", "nv-tensorrt-rtx", "mlx", "coreml"]
"""An execution provider that a bundle is made for; `edge/engine/providers.py` says what each is."""
USUAL: Provider = "cpu"
"""What a bundle is for where nothing is said."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Part):
    """A file of the bundle."""

    sha256: Sha256
    size_bytes: Count


class Quantization(_Part):
    """How the weights are stored.

    method: gptq, rtn, or kept where every layer has the source's own blocks.
    matrices_kept: how many are the source's own blocks, embedding and head among them.
    bits: of most matrices; overrides: of those that differ, by module name.
    """

    method: str
    matrices_kept: Count = 0
    bits: Positive
    block_size: Positive
    is_symmetric: bool
    accuracy_level: Count
    overrides: dict[str, Positive] = {}
    bits_per_weight: Annotated[float, Field(gt=0)]


class Origin(_Part):
    """What the bundle was made from."""

    name: str
    revision: str
    sha256: Sha256
    licence: str


class Calibration(_Part):
    """The text that the quantisation looked at, and how many pictures."""

    name: str
    tokens: Count
    sha256: Sha256
    pictures: Count = 0


class Pictures(_Part):
    """How pictures are cut for a bundle that sees them.

    crop_size: pixels of a crop's side. side_tokens: tokens of a crop's side. crops_max: crops of one picture.
    mean, std: of red, green and blue, 0 to 1, which pixels are reckoned from.
    """

    crop_size: Positive
    side_tokens: Positive
    crops_max: Positive
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class SentenceModel(_Part):
    """An embedding model that a bundle brings, which documents are found with.

    dimensions: of a vector. tokens_max: of a text, those at its ends among them; what is behind them is not read.
    source: names what it was made of, and how. Vectors of one source can be compared, whoever rounded its weights.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    dimensions: Annotated[int, Field(gt=0, le=8192)]
    tokens_max: Annotated[int, Field(gt=2, le=8192)]
    licence: str
    source: Sha256


class Golden(_Part):
    """A question that the bundle must answer as it did where it was made, before a board keeps it.

    contains: what its greedy answer has somewhere, whatever its case and its spaces.
    """

    prompt: Annotated[str, Field(min_length=1, max_length=4096)]
    contains: Annotated[str, Field(min_length=1, max_length=1024)]
    max_tokens: Annotated[int, Field(gt=0, le=256)] = 32

    def is_in(self, answer: str) -> bool:
        """Whether an answer has what it must."""
        return "".join(self.contains.split()).casefold() in "".join(answer.split()).casefold()


class Adapter(_Part):
    """A LoRA adapter that stays apart from its base, in `adapters/NAME.safetensors`; a request chooses it.

    rank: the largest of its matrices. targets: the modules that it changes, by the last part of their names.
    source: sha256 of the weights that it was made of. golden: what the bundle is asked with it where it is tried.
    graph: that with branches where this adapter has some; `adapters.onnx` has those of all.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    rank: Positive
    alpha: Annotated[float, Field(gt=0)]
    targets: Annotated[list[str], Field(min_length=1)]
    source: Sha256
    golden: Annotated[list[Golden], Field(max_length=32)] = []
    graph: Annotated[str, Field(pattern=r"^adapters(-[1-9])?\.onnx$")] = ADAPTER_GRAPH

    @property
    def file(self) -> str:
        """Its place in the bundle."""
        return f"{ADAPTERS}/{self.name}.safetensors"


class Fixed(_Part):
    """Graphs of fixed shapes, where a provider compiles them whole.

    slice_tokens: of a prompt, which one run reads. logits_scale, logits_zero_point: what the numbers that come out
    stand for. soc: the system on a chip that the graphs are compiled for, empty where the board compiles them when it
    first loads them.
    """

    slice_tokens: Positive
    logits_scale: Annotated[float, Field(gt=0)]
    logits_zero_point: Count
    soc: Annotated[str, Field(max_length=64)] = ""


class Sampling(_Part):
    """How tokens are chosen where a request does not say, as the model's makers would have it; greedy by default.

    temperature: 0 is greedy. top_k: 0 for off. top_p, min_p: 0 to 1. repetition_penalty: 1 for off.
    """

    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Count = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0


class Manifest(_Part):
    """`manifest.json`.

    context_length: tokens of prompt and answer together. kv_cache: what keys and values are remembered in.
    kv_bytes_per_token: what they take.
    memory_floor_bytes: what must be free to load the weights and answer with a full context.
    rope_switch_length: texts of more tokens have other rotary factors, 0 where none have; a prompt that reaches
        past it is read in one piece, since its first tokens need the other factors, too.
    sentences: None for a bundle that brings no embedding model.
    pictures: None for a bundle that reads text alone. tokenizer: what reads its tokenizer.json rightly.
    fidelity: what the quantisation lost, figure by figure; empty where it was not measured.
    held_to: whose own forward pass this kind of checkpoint was compared with by the export's tests, as
        `transformers 5`; empty for a kind that none of them has.
    golden: what it is asked where it is tried on a board.
    adapters: those that a request may choose; none changes what the bundle answers without it.
    engine: which of the daemon's runs it on the cpu; genai for a graph that ours cannot run. decoder: the graph's file.
    fixed: None for a bundle whose graph takes texts of any length.
    """

    schema_version: Literal[1] = SCHEMA
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    version: str
    family: str
    provider: Provider
    capabilities: list[Literal["text", "vision", "json_schema"]]
    quantization: Quantization
    context_length: Positive
    vocab_size: Positive
    stop_token_ids: Annotated[list[int], Field(min_length=1)]
    chat_template: Annotated[str, Field(min_length=1)]
    tokenizer: Literal["onnxruntime-genai", "tokenizers"] = "onnxruntime-genai"
    sampling: Sampling = Sampling()
    weights_bytes: Positive
    kv_cache: Literal["float32", "float16", "int8"] = "float32"
    kv_bytes_per_token: Positive
    memory_floor_bytes: Positive
    origin: Origin
    rope_switch_length: Count = 0
    pictures: Pictures | None = None
    sentences: SentenceModel | None = None
    calibration: Calibration | None = None
    fidelity: dict[str, float] = {}
    held_to: list[str] = []
    golden: Annotated[list[Golden], Field(max_length=32)] = []
    adapters: Annotated[list[Adapter], Field(max_length=64)] = []
    engine: Literal["batched", "genai", "static"] = "batched"
    decoder: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.onnx$")] = GRAPH
    fixed: Fixed | None = None
    files: dict[str, File]

    def text(self) -> str:
        """The file as it is written: no word of an embedding model, adapters, or another graph without them.

        Older daemons read it then.
        """
        left_out = {name for name in ("sentences", "adapters", "fixed") if not getattr(self, name)}
        left_out |= {
            name for name, usual in (("engine", "batched"), ("decoder", GRAPH)) if getattr(self, name) == usual
        }
        return self.model_dump_json(indent=2, exclude=left_out) + "\n"
