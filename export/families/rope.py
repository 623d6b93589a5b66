"""Rotary positions as a config tells them, in Transformers 4's spelling or in 5's.

Transformers 4 writes `rope_theta` and `rope_scaling` {`rope_type` or `type`, …}; 5 puts both into `rope_parameters`.
Where one file would be read in two ways by the two, it is refused. Formulas: Transformers' modeling_rope_utils.py,
which tests hold them to, and the papers that it names (linear: kaiokendev; yarn: arXiv:2309.00071; longrope:
arXiv:2402.13753; llama3: Llama 3.1's own code).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import SourceError, UnsupportedError
from export.families.keys import check_known, named
from export.families.values import flag, number, numbers, whole

SPELLINGS = ("rope_scaling", "rope_parameters")
LIMIT, ORIGINAL = "max_position_embeddings", "original_max_position_embeddings"
STEP = 16
"""onnxruntime's GroupQueryAttention turns a multiple of so many channels of a head."""


@dataclass(frozen=True)
class Rope:
    """frequencies: radians that a position adds, one for each pair of channels that turns.

    long_frequencies: those of a text longer than `original_length` tokens; empty where they are the same.
    scale: of cos and sin. long_scale: that of a text longer than `original_length`; 0 where it is the same.
    """

    frequencies: tuple[float, ...]
    long_frequencies: tuple[float, ...] = ()
    original_length: int = 0
    scale: float = 1.0
    long_scale: float = 0.0

    @property
    def size(self) -> int:
        """How many channels of a head turn."""
        return 2 * len(self.frequencies)


@dataclass(frozen=True)
class Given:
    """What a kind of rope is made from.

    values: the dict of the config, and where it stands there. theta: the base. size: the channels that turn.
    limit: the config's max_position_embeddings. original: what stands for the length before scaling.
    """

    values: Mapping[str, Any]
    where: str
    theta: float
    size: int
    limit: int
    original: int

    def plain(self) -> NDArray[np.float64]:
        """The frequencies without any scaling."""
        frequencies: NDArray[np.float64] = self.theta ** -(np.arange(0, self.size, 2, dtype=np.float64) / self.size)
        return frequencies

    def number(self, key: str, default: float | None = None) -> float:
        """A value above 0 of the dict."""
        is_default = default is not None and self.values.get(key) is None
        return default if is_default and default is not None else number(self.values, key, self.where)


def rope_of(
    config: Mapping[str, Any], kinds: Mapping[str, str], head_size: int, turns_part: bool, theta: float = 10000.0
) -> Rope:
    """The rope of a config whose defaults are filled in.

    kinds: by its name in the config, the kind that the family has under it. turns_part: whether the family may leave
    some channels of a head as they are. theta: the base where the config names none. Raises SourceError and
    UnsupportedError, naming the key.
    """
    about = (kinds, head_size, turns_part, theta)
    found = [_read(config, name, *about) for name in SPELLINGS if config.get(name)]
    if not found:
        return _read(config, "", *about)
    if found[0] != found[-1]:
        raise UnsupportedError("config.json's rope_scaling and rope_parameters contradict each other; leave one")
    return found[0]


def _read(
    config: Mapping[str, Any], spelling: str, kinds: Mapping[str, str], head_size: int, turns_part: bool, theta: float
) -> Rope:
    """The rope of one spelling, plain where it is none."""
    values, where = config.get(spelling, {}), f"config.json's {spelling or 'rope_theta'}"
    if not isinstance(values, Mapping):
        raise SourceError(f"{where} should be an object, but is {values!r}")
    kind = _kind(values, where, kinds)
    make, known = KINDS[kind]
    check_known(values, named("it is read", f"rope_type type rope_theta partial_rotary_factor {known}"), where)
    given = Given(
        {key: value for key, value in values.items() if value is not None},
        where,
        number({"rope_theta": _agreed(config, values, spelling, "rope_theta", theta)}, "rope_theta"),
        _size(_agreed(config, values, spelling, "partial_rotary_factor", 1.0), head_size, turns_part),
        whole(config, LIMIT),
        _original(config, values, spelling, kind) if ORIGINAL in known else 0,
    )
    if kind == "longrope" and spelling == "rope_scaling":
        _check_ratio(config, given)
    return make(given)


def _kind(values: Mapping[str, Any], where: str, kinds: Mapping[str, str]) -> str:
    """Which formula it is; Transformers 4 and 5 choose another one where `type` and `rope_type` differ."""
    names = {str(name) for key in ("type", "rope_type") if (name := values.get(key)) is not None} or {"default"}
    if len(names) > 1:
        raise UnsupportedError(f"{where} has a type and a rope_type that differ; leave one")
    name = names.pop()
    if name not in kinds:
        raise UnsupportedError(f"{where} is of the type {name!r}; this family is exported with {', '.join(kinds)}")
    return kinds[name]


def _agreed(config: Mapping[str, Any], values: Mapping[str, Any], spelling: str, key: str, default: Any) -> Any:
    """A value that may stand in the dict and beside it: Transformers 5 reads the first, and 4 the second."""
    inside, outside = values.get(key), config.get(key)
    beside = default if outside is None else outside
    if inside is not None and inside != beside and (spelling == "rope_scaling" or outside is not None):
        raise UnsupportedError(
            f"config.json's {spelling} has {key} {inside!r}, but beside it is {beside!r}, and Transformers 4 and 5 read"
            " two different models in that; write one value in both places"
        )
    return beside if inside is None else inside


def _original(config: Mapping[str, Any], values: Mapping[str, Any], spelling: str, kind: str) -> int:
    """The length before scaling, where Transformers 4 and 5 agree on it."""
    places = (config, "config.json"), (values, f"config.json's {spelling}")
    outside, inside = (None if each.get(ORIGINAL) is None else whole(each, ORIGINAL, where) for each, where in places)
    found = outside or inside or config[LIMIT]
    before = outside if kind == "longrope" else inside  # where Transformers 4 looks for it
    seen = {found, inside or found, (before or config[LIMIT]) if spelling == "rope_scaling" else found}
    if len(seen) > 1:
        raise UnsupportedError(
            f"config.json's {ORIGINAL} is {outside}, and {inside} in its {spelling}, and Transformers 4 and 5 read two"
            " different models in that; write one value in both places"
        )
    return int(found)


def _size(part: Any, head_size: int, turns_part: bool) -> int:
    """How many channels of a head turn."""
    share = number({"partial_rotary_factor": part}, "partial_rotary_factor")
    size = int(head_size * share)
    if share > 1 or (share != 1 and not turns_part):
        raise UnsupportedError(f"config.json says partial_rotary_factor: {part!r}, but this family turns whole heads")
    if size % STEP or not size:
        raise UnsupportedError(
            f"rotary positions turn {size} channels of a head; multiples of {STEP} are exported"
            f" (partial_rotary_factor is {part!r}, and a head {head_size} wide)"
        )
    return size


def _made(given: Given, frequencies: NDArray[np.float64], scale: float = 1.0) -> Rope:
    if not (np.isfinite(frequencies).all() and math.isfinite(scale)):
        raise SourceError(f"{given.where} gives rotary frequencies that are not finite")
    return Rope(tuple(frequencies.tolist()), scale=scale)


def _plain(given: Given) -> Rope:
    return _made(given, given.plain())


def _dynamic(given: Given) -> Rope:
    """Plain up to max_position_embeddings, which no context exceeds."""
    given.number("factor")
    return _plain(given)


def _linear(given: Given) -> Rope:
    return _made(given, given.plain() / given.number("factor"))


def _llama3(given: Given) -> Rope:
    """Long waves slower by the factor, short ones as they are, and between the two a passage."""
    factor, low, high = (given.number(key) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    if high <= low:
        raise SourceError(f"{given.where} has a high_freq_factor that is not above its low_freq_factor")
    frequencies = given.plain()
    turns = given.original * frequencies / (2 * math.pi)
    share = np.clip((turns - low) / (high - low), 0, 1)
    return _made(given, frequencies * ((1 - share) / factor + share))


def _yarn(given: Given) -> Rope:
    factor, plain = given.number("factor"), given.plain()
    fast, slow = given.number("beta_fast", 32), given.number("beta_slow", 1)

    def channel(turns: float) -> float:
        """Whose frequency turns so often within the original length."""
        return given.size * math.log(given.original / (turns * 2 * math.pi)) / (2 * math.log(given.theta))

    if given.theta <= 1:
        raise SourceError("config.json says rope_theta, which should be above 1 for yarn")
    first, last = channel(fast), channel(slow)
    if "truncate" not in given.values or flag(given.values, "truncate", given.where):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, given.size - 1)
    width = last - first or 0.001
    slowed = np.clip((np.arange(given.size // 2) - first) / width, 0, 1)
    return _made(given, plain * (slowed / factor + 1 - slowed), given.number("attention_factor", _yarn_scale(given)))


def _yarn_scale(given: Given) -> float:
    factor = given.number("factor")

    def scale(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1 if factor > 1 else 1.0

    weights = [given.values.get(key) for key in ("mscale", "mscale_all_dim")]
    if not all(weights):
        return scale(1)
    first, second = (scale(given.number(key)) for key in ("mscale", "mscale_all_dim"))
    return first / second


def _divided(given: Given) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The frequencies of short texts, and of long ones."""
    plain = given.plain()
    short, long = (
        plain / numbers(given.values, key, given.size // 2, given.where) for key in ("short_factor", "long_factor")
    )
    return short, long


def _longrope(given: Given) -> Rope:
    """Each frequency divided by a factor of its own; other factors for a text beyond the original length."""
    short, long = _divided(given)
    ratio = given.number("factor", given.limit / given.original)
    usual = math.sqrt(1 + math.log(ratio) / math.log(given.original)) if ratio > 1 and given.original > 1 else 1.0
    rope = _made(given, short, given.number("attention_factor", usual))
    if (short == long).all():
        return rope
    return Rope(rope.frequencies, tuple(long.tolist()), given.original, rope.scale)


def _longrope_scaled(given: Given) -> Rope:
    """The same with a scale for each side that the config names, as Phi-3.5-MoE has it."""
    short, long = _divided(given)
    short_scale, long_scale = (given.number(key) for key in ("short_mscale", "long_mscale"))
    rope = _made(given, short, short_scale)
    if (short == long).all() and short_scale == long_scale:
        return rope
    return Rope(rope.frequencies, tuple(long.tolist()), given.original, short_scale, long_scale)


def _check_ratio(config: Mapping[str, Any], given: Given) -> None:
    """Transformers 4 takes the ratio of the two lengths, where the config has both, whatever the factor says."""
    if config.get(ORIGINAL) is None or "factor" not in given.values or "attention_factor" in given.values:
        return
    if (factor := given.number("factor")) != given.limit / given.original:
        raise UnsupportedError(
            f"{given.where} has a factor of {factor:g}, but the context grew by {given.limit / given.original:g}, and"
            " Transformers 4 and 5 read two different models in that; give its attention_factor"
        )


Make = Callable[[Given], Rope]
KINDS: dict[str, tuple[Make, str]] = {
    "default": (_plain, ""),
    "linear": (_linear, "factor"),
    "dynamic": (_dynamic, "factor"),
    "llama3": (_llama3, f"factor low_freq_factor high_freq_factor {ORIGINAL}"),
    "yarn": (_yarn, f"factor {ORIGINAL} attention_factor beta_fast beta_slow mscale mscale_all_dim truncate"),
    "longrope": (_longrope, f"short_factor long_factor factor {ORIGINAL} attention_factor"),
    "longrope_scaled": (_longrope_scaled, f"short_factor long_factor short_mscale long_mscale {ORIGINAL}"),
}
"""By its kind, what makes a rope and which keys it reads."""
ANY = {name: name for name in KINDS if name != "longrope_scaled"}
"""Every kind under its own name, but for one that a family alone has under another."""
