"""What is remembered of texts: keys and values. Start reading in `caches.py`.

caches.py        one block of memory, a slot a text
prefixes.py      beginnings that texts have in common, in memory
prefix_files.py  the same on the disk, for the next start
allowance.py     how much may be written
whose.py         whose they are, and how they are forgotten
"""
