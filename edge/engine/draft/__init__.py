"""Guesses at what an answer says next: by what was said before, or by a small bundle. Start reading in `guesses.py`.

guesses.py     which of the two guesses, and what became of it
small.py       the small bundle's graph, which follows an answer token by token
pays.py        whether guessing by it pays, by measurement
same_ids.py    which token ids both bundles know
"""
