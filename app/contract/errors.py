"""What can go wrong between gateway and worker.

ContractError
├── DecodeError       bytes in the store are not what this version writes
├── QueueFull         the queue holds as many jobs as it may
├── TooManyJobs       the job's owner has as many queued and running jobs as it may
├── AlreadyAccepted   the idempotency key stands for a job that was accepted before
├── KeyReused         the idempotency key stands for another request
├── WaitTimeout       no outcome arrived in time
├── TracingUnavailable  traces are asked for and cannot be exported
└── StoreUnavailable  the store cannot be reached, started, or refuses to write
    └── StoreForgets  the store is set up to evict what was accepted
"""


class ContractError(Exception):
    """Gateway and worker could not understand or reach one another."""


class DecodeError(ContractError):
    """Stored bytes cannot be read; `payload` keeps them for the log."""

    def __init__(self, message: str, payload: bytes | str = b"") -> None:
        super().__init__(message)
        self.payload = payload


class QueueFull(ContractError):
    """The queue holds as many jobs as it may."""


class TooManyJobs(ContractError):
    """The job's owner has as many queued and running jobs as it may."""


class AlreadyAccepted(ContractError):
    """The idempotency key stands for `job_id`, accepted before for the same request."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"this request was accepted before as job {job_id}")
        self.job_id = job_id


class KeyReused(ContractError):
    """The idempotency key stands for another request."""


class WaitTimeout(ContractError):
    """No outcome arrived within the time the caller was ready to wait."""


class TracingUnavailable(ContractError):
    """Traces are asked for and cannot be exported; the message says why."""


class StoreUnavailable(ContractError):
    """The store cannot be reached, cannot be started, or refuses to write."""


class StoreForgets(StoreUnavailable):
    """The store is set up to evict keys when its memory is full, and with them accepted jobs."""
