"""Edge SLM: small language models answering over MQTT on a board, with no cloud."""

__version__ = "0.1.0"
