"""LoRA adapters that stay apart from their base: small matrices beside the bundle's own, chosen by request.

Start reading in adding.py: a finished bundle with adapters, the rest of it as it is (decision 65).

    adding.py    files and manifest
    branches.py  the decoder's graph with a low-rank branch at each matrix that an adapter changes
    stacking.py  an adapter's pairs as the branches take them
"""
