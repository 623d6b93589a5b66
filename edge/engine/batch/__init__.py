"""Our own engine: answers grow together, a token each a step. Start reading in `engine.py`.

engine.py    jobs in, events out; one step is a slice of a prompt and a token of every answer
intake.py    what is done for a job before it is read, on a thread of its own
opened.py    what it opens of its bundle
decoder.py   what is needed of the bundle's graph
making.py    a row made of a job
row.py       one answer: its tokens, its options, how far it is
choices.py   several answers to one prompt
beams.py     the best answers, by a search
beam_rows.py the rows that the search goes on in
halts.py     what is to end, in the middle of a run
groups.py    which answers grow by one run
slots.py     where in the cache each answer lies
tempo.py     how much of a prompt is read at a time
drafting.py  guesses from what was said before
pairs.py     a row alone, by the sums of several
"""
