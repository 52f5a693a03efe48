"""Callers that want one answer each and ask until they have it, whatever goes wrong on the way."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import httpx

from tests.integration.gateways import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

FINAL = frozenset({"done", "failed", "cancelled", "dead"})
BUDGET_MS = 600_000.0
PATIENCE_S = 240.0
ASK_AGAIN_S = 0.1
# Whoever waits for an answer and whoever reads it later are told the same of these.
MADE = ("id", "images", "plan", "timing", "cache", "batch_size", "worker")
WAITING = 8  # every so many callers wait in POST /generate, the others follow their job


@dataclass(slots=True)
class Caller:
    """One request, repeated under one idempotency key, and every final answer that was seen.

    `made` is what both `POST /generate` and the job's address told of its picture.
    """

    number: int
    key: str
    webhook_url: str
    job_id: str = ""
    answers: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    state: str = ""
    attempts: int = 0

    @property
    def is_waiting(self) -> bool:
        """Whether it asks for the answer itself first."""
        return self.number % WAITING == 0

    def is_told(self, made: dict[str, Any]) -> None:
        """Keep what it was told of its picture."""
        self.made.add(json.dumps({name: made[name] for name in MADE}))

    @property
    def wish(self) -> dict[str, Any]:
        """What it wants."""
        later = {} if self.is_waiting else {"webhook_url": self.webhook_url}
        return {
            "prompt": f"a cat, the {self.number}th",
            "latency_budget_ms": BUDGET_MS,
            "seed": self.number,
            "response_format": "url",
            **later,
        }


class Callers:
    """Sends every caller to the gateways, `at_once` at a time."""

    def __init__(
        self, urls: Sequence[str], number: int, webhook_url: str, at_once: int = 24
    ) -> None:
        self.callers = [Caller(n, f"chaos-{n}", webhook_url) for n in range(number)]
        self.troubles: Counter[str] = Counter()
        self._urls = urls
        self._stopped = threading.Event()
        self._local = threading.local()
        self._clients: list[httpx.Client] = []
        self._pool = ThreadPoolExecutor(at_once)
        self._futures = [self._pool.submit(self._serve, caller) for caller in self.callers]

    def have_finished(self, number: int) -> bool:
        """Whether so many have an answer by now."""
        return sum(bool(caller.state) for caller in self.callers) >= number

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)
        for client in self._clients:
            client.close()

    def join(self) -> None:
        """Wait for all of them; raises what went wrong for any."""
        for future in self._futures:
            future.result()

    def look_again(self) -> None:
        """Ask each gateway once more for every answer, and keep what it says.

        One that was killed may still be starting.
        """
        for caller in self.callers:
            for turn in range(len(self._urls)):
                wait_until(partial(self._note, caller, turn), PATIENCE_S)

    def _serve(self, caller: Caller) -> None:
        until_s = time.monotonic() + PATIENCE_S
        path = "/generate" if caller.is_waiting else "/jobs"
        turn = caller.number
        while not self._stopped.is_set() and not (caller.job_id and self._note(caller, turn)):
            assert time.monotonic() < until_s, f"no answer for {caller} in {PATIENCE_S} s"
            turn += 1
            if not caller.job_id:
                path = self._ask(caller, path, turn)
            else:
                time.sleep(ASK_AGAIN_S)

    def _ask(self, caller: Caller, path: str, turn: int) -> str:
        """Hand the request in; return where to do it next time."""
        headers = {"Idempotency-Key": caller.key}
        answer = self._send(turn, "POST", path, json=caller.wish, headers=headers)
        if answer is not None and answer.is_success:
            caller.job_id = answer.headers["X-Job-Id"]
            if answer.status_code == httpx.codes.OK:
                caller.is_told(answer.json())
            return path
        if answer is not None and answer.status_code in {500, 504}:
            return "/jobs"  # it has ended without a picture: its address says how
        time.sleep(ASK_AGAIN_S)
        return path

    def _note(self, caller: Caller, turn: int) -> bool:
        """Keep what a gateway says now; return whether that is final."""
        answer = self._send(turn, "GET", f"/jobs/{caller.job_id}")
        if answer is None or answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return False
        assert answer.is_success, f"{caller} was told {answer.status_code}: {answer.text}"
        told = answer.json()
        if told["state"] not in FINAL:
            return False
        picture = self._picture(caller, turn) if told["state"] == "done" else ""
        if picture is None:
            return False
        caller.answers.add(f"{answer.text}\n{picture}")
        if made := told.get("result"):
            caller.is_told(made)
        caller.state, caller.attempts = told["state"], told["attempt"]
        return True

    def _picture(self, caller: Caller, turn: int) -> str | None:
        answer = self._send(turn, "GET", f"/jobs/{caller.job_id}/images/0")
        if answer is None or answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return None
        assert answer.is_success, f"{caller} has no picture: {answer.text}"
        return hashlib.sha256(answer.content).hexdigest()

    def _send(self, turn: int, method: str, path: str, **options: Any) -> httpx.Response | None:
        url = self._urls[turn % len(self._urls)]
        try:
            answer = self._client().request(method, url + path, **options)
        except httpx.TransportError as error:
            self.troubles[type(error).__name__] += 1
            return None
        if answer.is_error:
            self.troubles[str(answer.status_code)] += 1
        return answer

    def _client(self) -> httpx.Client:
        if not hasattr(self._local, "client"):
            self._local.client = httpx.Client(timeout=30)
            self._clients.append(self._local.client)
        client: httpx.Client = self._local.client
        return client
