"""Small checkpoints with real tokenizers, as Transformers saves them: `python -m benchmarks.gguf_twins` makes them.

It runs where Transformers is, with SentencePiece beside it. Arguments: the folder for them, llama.cpp's sources,
mistral_common's data. Weights are random; vocabularies are Llama 2's and Phi-3's own and Mistral's own.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import gguf

from benchmarks.phi_shape import DATA

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
    "tie_word_embeddings": False,
}
CHAT = "{% for m in messages %}{{ '<|user|>\n' + m.content + eos_token + '\n<|assistant|>\n' }}{% endfor %}"
INSTRUCTIONS = "{{ bos_token }}{% for m in messages %}{{ '[INST] ' + m.content + '[/INST]' }}{% endfor %}"
PHI_MOE = (("short", 40), ("long", 1))
"""What the factors of long rope grow by, a number's share."""
MISTRAL = "mistral_instruct_tokenizer_240323.model.v3"


def save(folder: Path, kind: str, vocabulary: int, **more: Any) -> None:
    """A model of a kind, its weights large enough to matter, in half precision."""
    import torch
    import transformers

    config = getattr(transformers, f"{kind}Config")(vocab_size=vocabulary, **SIZES | more)
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    for values in model.parameters():
        torch.nn.init.uniform_(values, 0.5, 1.5) if values.ndim == 1 else torch.nn.init.normal_(values, std=0.15)
    model.half().save_pretrained(folder)


def llama_2(llama_cpp: Path, path: Path) -> None:
    """Llama 2's SentencePiece model, put together from the pieces and scores of llama.cpp's vocabulary of it."""
    from sentencepiece import sentencepiece_model_pb2

    keys = gguf.GGUFReader(llama_cpp / "models/ggml-vocab-llama-spm.gguf").fields
    tokens, scores, kinds = (keys[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "scores", "token_type"))
    model = sentencepiece_model_pb2.ModelProto()
    model.trainer_spec.model_type, model.trainer_spec.byte_fallback = model.trainer_spec.BPE, True
    model.trainer_spec.vocab_size, model.trainer_spec.pad_id = len(tokens), -1
    model.normalizer_spec.name, model.normalizer_spec.remove_extra_whitespaces = "identity", False
    for token, score, kind in zip(tokens, scores, kinds, strict=True):
        model.pieces.add(piece=token, score=score, type=kind)
    path.write_bytes(model.SerializeToString())


def with_tokenizer(folder: Path, template: str) -> None:
    """The tokenizer of a folder's tokenizer.model, converted by Transformers."""
    from transformers import LlamaTokenizerFast

    made = LlamaTokenizerFast(vocab_file=str(folder / "tokenizer.model"), add_prefix_space=True, legacy=True)
    made.chat_template = template
    made.save_pretrained(folder)


def phi_3(folder: Path, llama_cpp: Path) -> None:
    """With its published tokenizer."""
    save(folder, "Phi3", 32064, pad_token_id=32000, original_max_position_embeddings=128, sliding_window=127)
    phis_tokenizer(folder, llama_cpp)


def phi_moe(folder: Path, llama_cpp: Path) -> None:
    """With experts, the published model's positions, and its name as its makers spell it."""
    factors = {f"{kind}_factor": [1 + number / share for number in range(8)] for kind, share in PHI_MOE}
    scales = {"short_mscale": 1.243163121016122, "long_mscale": 1.243163121016122}
    lengths = {"original_max_position_embeddings": 4096}
    rope = {"type": "longrope", **factors, **scales, **lengths}
    sizes = {"max_position_embeddings": 131072, **lengths, "sliding_window": 131072, "num_local_experts": 4}
    more = {"attention_bias": True, "lm_head_bias": True, "rope_scaling": rope}
    save(folder, "Phimoe", 32064, **sizes, **more)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["PhiMoEForCausalLM"]}))
    phis_tokenizer(folder, llama_cpp)


def phis_tokenizer(folder: Path, llama_cpp: Path) -> None:
    """As published, which llama.cpp's converter reads from four files."""
    llama_2(llama_cpp, folder / "tokenizer.model")
    shutil.copy(DATA / "tokenizer/tokenizer.json", folder)
    added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"][3:]
    (folder / "added_tokens.json").write_text(json.dumps({token["content"]: token["id"] for token in added}))
    config = json.loads((DATA / "tokenizer/tokenizer_config.json").read_text(encoding="utf-8"))
    template = (DATA / "tokenizer/Phi-3.5-mini-instruct.chat_template.jinja").read_text(encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": template}))


def main() -> None:
    """The folders."""
    import torch

    folder, llama_cpp, mistral = map(Path, sys.argv[1:])
    torch.manual_seed(0)
    phi_3(folder / "phi3", llama_cpp)
    phi_moe(folder / "phimoe", llama_cpp)
    save(folder / "tinyllama", "Llama", 32000)
    llama_2(llama_cpp, folder / "tinyllama/tokenizer.model")
    with_tokenizer(folder / "tinyllama", CHAT)
    save(folder / "mistral", "Llama", 32768, head_dim=32, rope_theta=1e6)
    shutil.copy(mistral / MISTRAL, folder / "mistral/tokenizer.model")
    with_tokenizer(folder / "mistral", INSTRUCTIONS)


if __name__ == "__main__":
    main()
