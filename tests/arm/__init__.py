"""The engine on ARM, as far as an emulated processor can tell."""
