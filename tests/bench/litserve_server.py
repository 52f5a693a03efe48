"""The work behind LitServe: `python litserve_server.py PORT PATIENCE_S`."""

from __future__ import annotations

import sys

import litserve
from work import GATHER_MS, MOST_AT_ONCE, maker


class Api(litserve.LitAPI):
    def setup(self, _device):
        self.make = maker()

    def decode_request(self, request):
        return request["prompt"]

    def predict(self, prompts):
        return self.make(prompts)

    def encode_response(self, output):
        return {"image": output}


if __name__ == "__main__":
    port, patience_s = int(sys.argv[1]), float(sys.argv[2])
    api = Api(max_batch_size=MOST_AT_ONCE, batch_timeout=GATHER_MS / 1000)
    server = litserve.LitServer(api, accelerator="auto", workers_per_device=1, timeout=patience_s)
    server.run(
        port=port,
        host="127.0.0.1",
        num_api_servers=1,
        generate_client_file=False,
        log_level="error",
    )
