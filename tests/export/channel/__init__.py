"""`edge-channel`."""
