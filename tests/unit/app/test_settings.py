"""Settings come from the environment and options, and say what is wrong with them."""

from __future__ import annotations

import pytest

from app.errors import SettingsError
from app.settings import Settings

STORE = {"BLOCKCACHE_STORE_URL": "redis://localhost"}


def test_what_is_not_set_has_a_default() -> None:
    settings = Settings.read(STORE, {})

    assert (settings.host, settings.port) == ("127.0.0.1", 8000)


def test_an_option_goes_before_the_environment() -> None:
    settings = Settings.read({**STORE, "BLOCKCACHE_PORT": "9000"}, {"port": 9001, "host": None})

    assert settings.port == 9001


def test_models_are_a_list() -> None:
    assert Settings.read({**STORE, "BLOCKCACHE_MODELS": "emoji, sd15"}, {}).models == (
        "emoji",
        "sd15",
    )


def test_the_store_must_be_named() -> None:
    with pytest.raises(SettingsError, match="BLOCKCACHE_STORE_URL"):
        Settings.read({}, {})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("BLOCKCACHE_PORT", "http", "0 to 65535"),
        ("BLOCKCACHE_PORT", "70000", "0 to 65535"),
        ("BLOCKCACHE_DEFAULT_BUDGET_MS", "0", "1 to 600000"),
        ("BLOCKCACHE_DEFAULT_BUDGET_MS", "nan", "1 to 600000"),
        ("BLOCKCACHE_MAX_IMAGES", "9", "1 to 8"),
        ("BLOCKCACHE_MAX_BODY_BYTES", "1", "1024"),
        ("BLOCKCACHE_ALLOW_ANONYMOUS", "maybe", "true or false"),
        ("BLOCKCACHE_GUIDANCE_SCALE", "0", "1 to 30"),
        ("BLOCKCACHE_QUEUE_CAP", "-1", "1 to 1000000"),
        ("BLOCKCACHE_MODELS", "emoji,,sd15", "names of models"),
        ("BLOCKCACHE_OTLP_ENDPOINT", "collector:4318", "https:// URL"),
        ("BLOCKCACHE_ALLOWED_HOSTS", "box:8000", "without ports"),
    ],
)
def test_a_wrong_value_names_its_variable_and_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError, match=f"{name} must be .*{allowed}"):
        Settings.read({**STORE, name: value}, {})


def test_a_wrong_option_is_named_as_well() -> None:
    with pytest.raises(SettingsError, match="port must be"):
        Settings.read(STORE, {"port": -1})


def test_a_password_in_the_store_url_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.read({"BLOCKCACHE_STORE_URL": "http://:hunter2@store"}, {})

    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])  # noqa: S104 refused
def test_without_keys_other_machines_are_kept_out(host: str) -> None:
    with pytest.raises(SettingsError, match="--allow-anonymous"):
        Settings.read(STORE, {"host": host})

    assert Settings.read(STORE, {"host": host, "allow_anonymous": True}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.5"])
def test_this_machine_is_always_let_in(host: str) -> None:
    assert Settings.read(STORE, {"host": host}).host == host


def test_a_late_picture_is_waited_for_in_proportion_to_its_budget() -> None:
    assert Settings.read(STORE, {}).grace_for(1000) == 12_000
    assert Settings.read(STORE, {"grace_ms": 0.0}).grace_for(1000) == 0
