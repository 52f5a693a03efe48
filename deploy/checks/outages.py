"""Crashes of the stack's services: what is refused meanwhile, what is kept, and what comes back."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

from deploy.checks.gateway import WISH, ask
from deploy.checks.project import compose, inspected, makes_pictures, wait_for

if TYPE_CHECKING:
    from deploy.checks.gateway import Gateway


def crash(service: str) -> None:
    """Kill a service's process as a crash would; its restart policy brings it back."""
    before = inspected(service)["State"]["Pid"]
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        state = inspected(service)["State"]
        return state["Running"] and state["Pid"] not in {0, before}

    wait_for(f"{service} is started again after a crash", is_back, 30)


def check_store_crash(gateway: Gateway) -> None:
    """See jobs accepted before the store crashed made after it is back."""
    jobs = [gateway.accepted(num_images=8) for _ in range(3)]
    crash("store")

    def all_done() -> bool:
        return {gateway.state_of(job) for job in jobs} == {"done"}

    wait_for("all three jobs of before the crash are done", all_done, 120)


def check_store_away(gateway: Gateway) -> None:
    """See 503 while the store is away, and nothing lost that was accepted before."""
    jobs = [gateway.accepted(num_images=8) for _ in range(3)]
    compose("kill", "store")
    wait_for("while the store is away the answer is 503", lambda: refuses(gateway), 10)
    compose("start", "store")
    wait_for("ready once the store is back", gateway.is_ready, 30)

    def all_done() -> bool:
        return {gateway.state_of(job) for job in jobs} == {"done"}

    wait_for("all three jobs of before are done", all_done, 120)
    wait_for("and a picture", lambda: makes_pictures(gateway), 30)


def refuses(gateway: Gateway) -> bool:
    """Whether the gateway lives and says that the store does not answer."""
    status, problem = gateway.ask("/generate", WISH)
    told = status == 503 and json.loads(problem)["type"].endswith("store-unavailable")
    return told and ask(f"{gateway.url}/healthz")[0] == 200


def check_worker_crash(gateway: Gateway) -> None:
    """See pictures by the worker that is started again, the one its crash interrupted too."""
    job = gateway.accepted(num_images=8)
    wait_for("a job runs", lambda: gateway.state_of(job) == "running", 30, every_s=0.02)
    crash("worker-cpu")
    wait_for("the job of the crashed worker is done", lambda: gateway.state_of(job) == "done", 150)
    crash("worker-cpu")
    wait_for("a picture by the worker started again", lambda: makes_pictures(gateway), 60)
