"""`make deb`: Debian packages with everything inside but Python itself (decision 48).

Start reading in __main__.py. targets.py has the Debian releases and processors, wheels.py fetches and unpacks what the
locks name, tree.py lays out what is installed, pack.py makes one file of it, and control/ has what dpkg runs. kiosk.py
makes the kiosk's package, which is for all of them; control-kiosk/ is its.
"""
