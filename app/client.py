"""A small client of a running service, for the command line and tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import httpx

from app.errors import ServiceError
from app.settings import MAX_BUDGET_MS

if TYPE_CHECKING:
    from types import TracebackType

PATIENCE_S = 10.0


class Client:
    """Talks to the service at `url` with an API key; a context manager.

    Every method raises ServiceError.
    """

    def __init__(
        self, url: str, timeout_s: float = 60.0, *, key: str = "", connections: int = 100
    ) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            limits = httpx.Limits(max_connections=connections)
            self._http = httpx.Client(
                base_url=self.url, timeout=timeout_s, headers=headers, limits=limits
            )
        except httpx.InvalidURL as error:
            raise ServiceError(f"{url} is not a URL: {error}") from error
        except UnicodeError:
            raise ServiceError("the key has characters that no key has; copy it again") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def generate(self, **fields: Any) -> dict[str, Any]:
        """Make pictures; waits three times the budget and a little more."""
        budget_ms = fields.get("latency_budget_ms") or MAX_BUDGET_MS
        patience_s = 3 * budget_ms / 1000 + 2 * PATIENCE_S
        return self._json("POST", "/generate", json=fields, timeout=patience_s)

    def image(self, url: str) -> bytes:
        """Return one finished picture by the `url` its result names."""
        return self._send("GET", url).content

    def plan(self, **fields: Any) -> dict[str, Any]:
        """Ask which plan would be picked now."""
        return self._json("POST", "/plan", json=fields)

    def plans(self) -> list[dict[str, Any]]:
        """Return the frontiers of the live fleet."""
        return list(self._json("GET", "/plans")["frontiers"])

    def is_ready(self) -> bool:
        """Whether the service answers and has a ready worker."""
        try:
            return self._http.get("/readyz", timeout=2.0).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._send(method, path, **options).json()
        return answer

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.TimeoutException as error:
            raise ServiceError(f"{self.url} did not answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServiceError(
                f"no blockcache service answers at {self.url} ({error}); start one: blockcache up"
            ) from error
        if answer.is_error:
            raise ServiceError(complaint(answer), answer.status_code)
        return answer


def complaint(answer: httpx.Response) -> str:
    """Return what an error answer says, in one sentence."""
    try:
        said = answer.json()
        return f"{said['title']}: {said['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.url} answered {answer.status_code} {answer.reason_phrase}"
