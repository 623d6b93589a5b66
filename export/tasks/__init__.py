"""Questions with answers that can be checked: how many of its source's answers a bundle keeps, and how many are right.

Start reading in `measuring.py`.

    measuring.py  source and bundle over all questions, a layer at a time; figures by kind
    material/     the questions' sentences: a file a kind, written for this
    questions.py  that material, with its slots filled in by a seed
    texts.py      questions as the conversations that a model reads, and where in them its answers begin
    given.py      a model's answer, from its logits over a text that has the right one
    checking.py   an answer that was generated: strict checkers, one a form of answer
    tally.py      answers counted, and told in the bundle's report
"""
