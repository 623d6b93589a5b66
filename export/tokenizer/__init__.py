"""A model's tokenizer on its way into a bundle, so that the board reads the tokens that the model was trained on.

serving.py decides what reads it and writes its files; spelling.py says the same in words that both readers take alike;
agreement.py compares two readers over texts.py's texts, which were made to differ. special.py knows the control tokens,
prefix.py the space before a text, template.py looks at the chat template, format.py knows the file's parts.

header.py makes tokenizer.json of a GGUF file's header: vocabulary.py has what the header says of its tokens,
byte_level.py and sentence_piece.py make the two kinds that are read, cuts.py lists how text is cut. ranks.py makes it
of tiktoken's list of tokens.
"""
