"""What can go wrong in an export, each error naming the thing and what to do.

ExportError
├── SourceError      the model that came in is missing, damaged, or not what it says
├── UnsupportedError the model is sound, but this program cannot export it (yet)
├── FuseError        a traced graph does not look as its family promises
├── FidelityError    the bundle lost more than its recipe allows, or does not run
└── TargetError      the place the bundle should go to refuses it
"""


class ExportError(Exception):
    """The root: everything the export refuses with a sentence instead of a traceback."""


class SourceError(ExportError):
    """A missing shard, a wrong checksum, a truncated file, a NaN in a weight."""


class UnsupportedError(ExportError):
    """An architecture, a rope variant or a tensor type that has no code here."""


class FuseError(ExportError):
    """A node of the traced graph that no pattern of the family explains."""


class FidelityError(ExportError):
    """A bundle over its recipe's limits, or one that its own engine cannot load."""


class TargetError(ExportError):
    """The output folder exists, or its disk is full or read-only."""
