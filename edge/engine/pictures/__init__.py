"""Pictures to what the decoder reads in their place. Start reading in `vision.py`.

crops.py   a picture's bytes to crops; the only file that imports Pillow
vision.py  crops through the tower, and their places in a prompt
"""
