"""Every figure that we claim, measured again: `make figures [ONLY=name]`."""
