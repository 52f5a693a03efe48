"""A real gateway before a real store, as the integration tests have it."""

from tests.integration.conftest import gateway, settings, store_url, worker

__all__ = ["gateway", "settings", "store_url", "worker"]
