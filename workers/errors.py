"""What can go wrong on the torch side.

WorkerError
├── ModelError        the model cannot be loaded, or is of a kind this worker cannot run
├── UnknownSolver     no solver of that name
├── Stopped           a generation was stopped between two steps because nobody waits for it
└── CalibrationError  a calibration cannot be run or its files cannot be used
"""


class WorkerError(Exception):
    """Something went wrong on the torch side."""


class ModelError(WorkerError):
    """The model cannot be loaded, or is of a kind this worker cannot run."""


class UnknownSolver(WorkerError):
    """No solver of that name."""


class Stopped(WorkerError):
    """A generation was stopped between two steps because nobody waits for it any more."""


class CalibrationError(WorkerError):
    """A calibration cannot be run, or its files cannot be used."""
