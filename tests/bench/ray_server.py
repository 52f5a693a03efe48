"""The work behind Ray Serve: `python ray_server.py PORT PATIENCE_S`."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading

import ray
from ray import serve
from work import GATHER_MS, MOST_AT_ONCE, maker

CALLS = 2 * MOST_AT_ONCE


@serve.deployment(num_replicas=1, max_ongoing_requests=CALLS, ray_actor_options={"num_cpus": 1})
class Maker:
    def __init__(self):
        self.make = maker()

    @serve.batch(max_batch_size=MOST_AT_ONCE, batch_wait_timeout_s=GATHER_MS / 1000)
    async def together(self, prompts):
        return await asyncio.to_thread(self.make, prompts)

    async def __call__(self, request):
        wish = await request.json()
        return {"image": await self.together(wish["prompt"])}


if __name__ == "__main__":
    port, patience_s = int(sys.argv[1]), float(sys.argv[2])
    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    listening = {"host": "127.0.0.1", "port": port, "request_timeout_s": patience_s}
    quiet = {"enable_access_log": False, "log_level": "ERROR"}
    serve.start(http_options=listening, logging_config=quiet)
    serve.run(Maker.bind(), route_prefix="/predict", name="maker")
    threading.Event().wait()
