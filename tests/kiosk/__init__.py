"""The kiosk's page in Debian's Chromium, before the real broker and the real daemon, with nothing but loopback.

`make kiosk-test`. Start reading in `boxes.py`.

    offline.py   runs a command where there is no network
    boxes.py     broker, daemon and page as processes that can be killed
    browser.py   Chromium, and all that it asks for
    netlog.py    what Chromium itself logs of its network
    visitor.py   who stands before the screen
    heap.py      what the page holds in memory
    axe.py       what the page keeps from whom
    screens.py   every screen of the page, one after the other
    crowd.py     twenty visitors
    pictures.py  the screenshots of docs/kiosk.md
    measure.py   the figures, for benchmarks/kiosk.py
"""
