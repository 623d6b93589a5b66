"""What is known of config.json: each key is read, or changes nothing (and why), or changes nothing at some values.

Any other key is refused by its name: a key that nobody reads is how a model is misread in silence. A key whose value
is null says nothing, and passes, but for one without which Transformers loads no model. Keys and defaults: Transformers
4.30 to 5.24, `PretrainedConfig` and the families' own classes; what else published checkpoints of these families carry.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from export.errors import UnsupportedError

Table = Mapping[str, "Key"]


@dataclass(frozen=True)
class Key:
    """A key of a config. why: it may be there. only: the values that it may have, any where empty."""

    why: str
    only: tuple[Any, ...] = ()

    def allows(self, value: Any) -> bool:
        """Whether a value is among those; false and 0 are two things."""
        return not self.only or any(value == each and type(value) is type(each) for each in self.only)


def named(why: str, names: str, *only: Any) -> dict[str, Key]:
    """Keys of one kind. names: with blanks between them."""
    return dict.fromkeys(names.split(), Key(why, only))


SIZES = "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim vocab_size"
READ = named(
    "it is read",
    f"{SIZES} architectures model_type max_position_embeddings original_max_position_embeddings rms_norm_eps"
    " rope_theta rope_scaling rope_parameters partial_rotary_factor tie_word_embeddings sliding_window layer_types"
    " bos_token_id eos_token_id pad_token_id",
)
BOOKS = named(
    "it tells where the checkpoint is from and how it is kept",
    "_name_or_path _commit_hash name_or_path transformers_version torch_dtype dtype auto_map tokenizer_class"
    " unsloth_version unsloth_fixed is_llama_config transformers.js_config model_max_length max_sequence_length"
    " seq_length finetuning_task task_specific_params problem_type id2label label2id num_labels prefix"
    " base_model_tp_plan base_model_pp_plan base_model_ep_plan base_model_fsdp_plan",
)
RUNNING = named(
    "it says how Transformers runs the model, not what the model computes",
    "use_cache return_dict output_hidden_states output_attentions torchscript use_bfloat16 tf_legacy_loss"
    " chunk_size_feed_forward is_decoder gradient_checkpointing pretraining_tp attn_implementation"
    " _attn_implementation _attn_implementation_autoset _attn_implementation_internal _flash_attn_2_enabled"
    " experts_implementation _experts_implementation tie_last_hidden_states use_return_dict use_flash_attn"
    " use_flash_attention use_flash_attention_2 cache_implementation",
)
TRAINING = named(
    "it counts in training alone",
    "initializer_range attention_dropout attn_pdrop embd_pdrop resid_pdrop hidden_dropout classifier_dropout",
)
SAMPLING = ("do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty")
"""What Transformers takes from config.json where there is no generation_config.json."""
ANSWERING = named(
    "it says how an answer is sought, which is the request's to say",
    f"{' '.join(SAMPLING)} max_length min_length early_stopping num_beams typical_p length_penalty"
    " no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores"
    " return_dict_in_generate forced_bos_token_id forced_eos_token_id remove_invalid_values"
    " exponential_decay_length_penalty suppress_tokens begin_suppress_tokens num_beam_groups diversity_penalty"
    " sep_token_id decoder_start_token_id unk_token_id cls_token_id mask_token_id max_new_tokens min_new_tokens",
)
WINDOWS = named(
    "families whose layers differ in it read it, the others' classes do not", "use_sliding_window max_window_layers"
)
LIMITED = {
    "hidden_act": Key("the MLP's gate is a SiLU", ("silu", "swish")),
    **named(
        "the graph adds no biases and has no norms of queries and keys",
        "attention_bias mlp_bias lm_head_bias qkv_bias use_bias bias qk_layernorm use_qk_norm",
        False,
    ),
    "rope_interleaved": Key("queries and keys turn in halves", (False,)),
    "pruned_heads": Key("every head is there", ({},)),
    **named("it is a decoder alone", "is_encoder_decoder add_cross_attention tie_encoder_decoder", False),
    "per_layer_config": Key("every layer is like the others", ({},)),
    "quantization_config": Key("weights that are rounded already would be rounded twice; export the original", ({},)),
}
COMMON: Table = {**READ, **BOOKS, **RUNNING, **TRAINING, **ANSWERING, **WINDOWS, **LIMITED}


NEVER_NULL = ("hidden_act",)
"""Null is another thing than absent there, and no class has a meaning for it."""


def check_known(config: Mapping[str, Any], known: Table, where: str = "config.json") -> None:
    """Every key of a config is in the table, with a value that it may have. Raises UnsupportedError, naming it."""
    for key, value in config.items():
        if (value is None and key not in NEVER_NULL) or (key in known and known[key].allows(value)):
            continue
        said = f"{where} says {key}: {reprlib.repr(value)}"
        if key not in known:
            raise UnsupportedError(
                f"{said}, which this program does not know; where it changes nothing, remove it from the file"
            )
        raise UnsupportedError(f"{said}, but only {_either(known[key].only)} is exported: {known[key].why}")


def _either(values: Iterable[Any]) -> str:
    return " or ".join(repr(value) for value in values)
