"""A real gateway before a real store, as the integration tests have it."""

from tests.integration.conftest import gateway, queue_settings, settings, store_url, worker

__all__ = ["gateway", "queue_settings", "settings", "store_url", "worker"]
