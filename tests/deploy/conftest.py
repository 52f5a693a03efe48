"""A real gateway before a real store, as the integration tests have it."""

from tests.integration.conftest import queue_settings, settings, store_url, worker

__all__ = ["queue_settings", "settings", "store_url", "worker"]
