"""The door for Home Assistant's Assist: Wyoming events in, a request of ours, and its answer out piece by piece.

Start reading in `door.py`.

    door.py         listens, and lets in who may come
    visit.py        one connection: what is asked, and what is told
    events.py       bytes to events, bounded before they are parsed, and back
    intents.py      what a sentence has Home Assistant do
    turns.py        what was said before in a conversation
    description.py  what the door says it offers
"""
