"""How many boards a rollout takes at a time, and when it is not to go on, as AWS IoT jobs count it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ENDED = ("kept", "failed", "rolled_back", "put_back")
"""Results of boards that were asked to change; the others were `there` already, or `away`."""
BAD = ("failed", "rolled_back", "put_back")


def waves(
    total: int, canaries: int | str = 1, base: int | str = 2, factor: float = 2.0, maximum: int | str = "100%"
) -> list[int]:
    """The size of each wave, for `serial:`; their sum is total, but for no boards, which is one wave.

    canaries: of the first wave. base: of the second; each later one has `factor` times as many, `maximum` at most.
    Sizes are numbers, or shares of all boards such as "10%", rounded down, one board at least. ValueError for others.
    """
    total, growth, most = int(total), _factor(factor), _size(maximum, total, "maximum")
    sizes, wanted, left = [], float(_size(base, total, "base")), total
    first = _size(canaries, total, "canaries")
    while left > 0:
        size = min(left, first if not sizes else min(int(wanted), most))
        wanted *= growth if sizes else 1.0
        sizes.append(size)
        left -= size
    return sizes or [1]


def _factor(value: Any) -> float:
    try:
        factor = float(value)
    except (TypeError, ValueError):
        factor = 0.0
    if not 1 <= factor <= 100:
        raise ValueError(f"a wave's factor is a number from 1 to 100, not {value!r}")
    return factor


def _size(value: Any, total: int, what: str) -> int:
    text = str(value).strip()
    number = text.removesuffix("%")
    if not number.isdecimal() or int(number) == 0 or (text.endswith("%") and int(number) > 100):
        raise ValueError(f"{what} is a number of boards, or a share such as 10%, not {value!r}")
    return max(1, total * int(number) // 100) if text.endswith("%") else int(number)


def stop(wave: Sequence[dict[str, Any]], so_far: Sequence[dict[str, Any]], percent: float, executed: int) -> str:
    """Why a rollout ends after a wave, in words; empty where it goes on.

    wave: results of its boards. so_far: of all waves up to it. It ends where more than `percent` of the wave's boards
    that were asked to change did not stay changed, once `executed` boards of all waves have been asked.
    """
    asked = [each for each in wave if each["state"] in ENDED]
    bad = [each for each in asked if each["state"] in BAD]
    count = sum(each["state"] in ENDED for each in so_far)
    if not bad or count < int(executed) or len(bad) * 100 <= float(percent) * len(asked):
        return ""
    return f"{len(bad)} of the wave's {len(asked)} boards failed, more than {float(percent):g} %"


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """By name."""
        return {"waves": waves, "stop": stop}
