"""From a published model to an INT4 ONNX bundle: runs once, on a workstation, and never on the daemon's path."""
