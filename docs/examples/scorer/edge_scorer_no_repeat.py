"""A scorer for Edge SLM: what would say three tokens running a second time is not said.

Transformers has the same as `no_repeat_ngram_size=3`. The prompt counts, so a text is not quoted at length either.
"""

import numpy as np

TOKENS = 3


def score(tokens: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The logits, float32 of one a token of the vocabulary, with which the next token is chosen.

    tokens: int64, the prompt's and the answer's so far, oldest first; below zero where a picture stands. Read-only.
    logits: the model's own. A copy, which may be changed.
    """
    if len(tokens) < TOKENS:
        return logits
    windows = np.lib.stride_tricks.sliding_window_view(tokens, TOKENS)
    ends_so = (windows[:, :-1] == tokens[-(TOKENS - 1) :]).all(axis=1)
    followers = windows[ends_so, -1]
    logits[followers[followers >= 0]] = -np.inf
    return logits
