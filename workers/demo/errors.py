"""What can go wrong while the demonstration model is made.

WorkerError
└── DemoError
    ├── ToolMissing     a program that fetches packages is not installed
    ├── DownloadFailed  a package cannot be fetched
    ├── WrongFile       a fetched file is not the one that is pinned
    ├── DatasetError    a saved dataset cannot be written or read
    └── UnusableParts   trained parts or a training state belong to another model
"""

from workers.errors import WorkerError


class DemoError(WorkerError):
    """The demonstration model cannot be made."""


class ToolMissing(DemoError):
    """A program that fetches packages is not installed."""


class DownloadFailed(DemoError):
    """A package cannot be fetched."""


class WrongFile(DemoError):
    """A fetched file is not the one that is pinned."""


class DatasetError(DemoError):
    """A saved dataset cannot be written or read."""


class UnusableParts(DemoError):
    """Trained parts or a training state belong to another model."""
