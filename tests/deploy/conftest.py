"""A real gateway before a real store, as the integration tests have it."""

from tests.integration.conftest import settings, store_url, worker

__all__ = ["settings", "store_url", "worker"]
