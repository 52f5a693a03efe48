"""The work behind BentoML: `bentoml serve bentoml_server:Maker`; BENCH_PATIENCE_S is heeded."""

import os

import bentoml
from work import MOST_AT_ONCE, maker

PATIENCE_S = float(os.environ.get("BENCH_PATIENCE_S", "60"))


@bentoml.service(workers=1, traffic={"timeout": PATIENCE_S}, logging={"access": {"enabled": False}})
class Maker:
    def __init__(self):
        self.make = maker()

    @bentoml.api(
        batchable=True,
        max_batch_size=MOST_AT_ONCE,
        max_latency_ms=round(PATIENCE_S * 1000),
        route="/predict",
    )
    def predict(self, prompts: list[str]) -> list[str]:
        return self.make(prompts)
