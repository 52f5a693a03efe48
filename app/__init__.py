"""The gateway. This file imports nothing, so that a worker can import app.contract alone."""
