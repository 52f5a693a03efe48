"""What can go wrong in an evaluation."""

from workers.errors import WorkerError


class EvaluationError(WorkerError):
    """An evaluation cannot be run as it was asked for."""
