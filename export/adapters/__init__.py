"""LoRA adapters that stay apart from their base: small matrices beside the bundle's own, chosen by request.

Start reading in adding.py: a finished bundle with adapters, the rest of it as it is (decision 65).

    adding.py    files and manifest
    asking.py    what a board asks with each adapter before it keeps the bundle
    branches.py  the decoder's graph with a low-rank branch at each matrix that an adapter changes
    losses.py    what the bundle loses with each, beside the source that it is merged into
    stacking.py  an adapter's pairs as the branches take them
"""
