"""The work behind mosec: `python mosec_server.py --port PORT --timeout PATIENCE_MS`."""

from __future__ import annotations

import mosec
from work import GATHER_MS, MOST_AT_ONCE, maker


class Maker(mosec.Worker):
    def __init__(self):
        super().__init__()
        self.make = maker()

    def forward(self, data):
        return [{"image": image} for image in self.make([each["prompt"] for each in data])]


if __name__ == "__main__":
    server = mosec.Server()
    server.append_worker(Maker, num=1, max_batch_size=MOST_AT_ONCE, max_wait_time=GATHER_MS)
    server.run()
