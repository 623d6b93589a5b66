"""From a conversation to token ids and from logits to text. Start reading in `prompt.py`.

chat_template.py  a conversation to the model's own text
marks.py          a model's control marks in what people wrote
exact.py          texts to token ids and back as `tokenizers` does; the only file that imports it
sentences.py      texts to vectors, by an embedding model that a bundle brings
late_sentences.py that, loaded for the first who needs it, and shared
prompt.py         a job to the tokens that are read
documents.py      what a question gets of the board's documents
late.py           documents, loaded for the first who asks
places.py         where these lie
composing.py      pieces of them as a model reads them
sampling.py       logits to the next token
scorers.py        functions of others that weigh it
guidance.py       answers held to a grammar; the only file that imports llguidance
schemas.py        what a schema may ask of it
stop_text.py      stop strings in a stream
loops.py          answers that say the same over and over
"""
