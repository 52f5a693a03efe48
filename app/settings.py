"""Settings of the gateway: from the environment, overridden by command line options."""

from __future__ import annotations

import base64
import ipaddress
import math
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from app.contract.tracing import is_endpoint
from app.errors import SettingsError
from app.keys import ApiKey, parse_keys, read_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX = "BLOCKCACHE_"
STORE_SCHEMES = frozenset({"redis", "rediss", "unix"})
SECRETS = frozenset({"store_url", "keys", "webhook_secret", "otlp_endpoint"})
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", re.ASCII)
HOST = re.compile(r"[a-z0-9.-]+", re.ASCII)
TRUTHS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

MAX_BUDGET_MS = 600_000.0
MAX_PROMPT_CHARS = 2000
MAX_IMAGES = 8
MAX_STREAMS = 100_000
MAX_MODELS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the gateway can be told. Raises SettingsError naming the setting that is wrong.

    With `keys`, or a `keys_file` that is read again when it changes, nobody is let in without one.
    Without, one that only this machine can reach answers to no name but loopback's and the
    `allowed_hosts`.
    `models` are served here even while none of their workers runs: asked for one of these, the
    gateway says "in a moment" and counts the wish, so that an autoscaler can start a worker.
    Webhooks are called only with a `webhook_secret` to sign them, and in no private network but the
    `webhook_networks`.
    With an `otlp_endpoint` traces are exported there.
    Without `grace_ms` a late picture is waited for twice its budget and ten seconds more.
    """

    store_url: str
    models: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    allow_anonymous: bool = False
    keys: tuple[ApiKey, ...] = ()
    keys_file: str | None = None
    metrics_need_key: bool = False
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    default_budget_ms: float = 10_000.0
    grace_ms: float | None = None
    guidance_scale: float = 3.0
    max_body_bytes: int = 65_536
    max_images: int = MAX_IMAGES
    max_prompt_chars: int = MAX_PROMPT_CHARS
    queue_cap: int = 1000
    fleet_ttl_ms: float = 100.0
    body_timeout_s: float = 30.0
    shutdown_grace_s: float = 10.0
    max_event_streams: int = 1000
    heartbeat_s: float = 15.0
    webhook_secret: str | None = None
    webhook_networks: tuple[str, ...] = ()
    otlp_endpoint: str | None = None

    def __post_init__(self) -> None:
        for name, rule in RULES.items():
            value = getattr(self, name)
            if not rule.accepts(value):
                raise SettingsError(f"{name} must be {rule.allowed}, not {_shown(name, value)}")
        if self.with_keys and self.allow_anonymous:
            raise SettingsError("allow_anonymous lets anybody in, but keys are set: choose one")
        if not (self.with_keys or self.allow_anonymous or is_loopback(self.host)):
            raise SettingsError(
                f"host {self.host} can be reached from other machines and no keys are configured; "
                "make one with `blockcache keys NAME` and name its file with --keys-file, use "
                "127.0.0.1, or say --allow-anonymous to let anybody in"
            )

    @property
    def with_keys(self) -> bool:
        """Whether callers need a key."""
        return bool(self.keys) or self.keys_file is not None

    def grace_for(self, budget_ms: float) -> float:
        """Milliseconds a late picture is still waited for after its deadline."""
        return 2 * budget_ms + 10_000 if self.grace_ms is None else self.grace_ms

    @classmethod
    def read(cls, environment: Mapping[str, str], overrides: Mapping[str, Any]) -> Self:
        """Build settings from `BLOCKCACHE_*` variables and options; None means not given."""
        found = {name: text for name in RULES if (text := environment.get(_variable(name)))}
        values = {name: _parse(name, text) for name, text in found.items()}
        given = {name: value for name, value in overrides.items() if value is not None}
        if "store_url" not in {**values, **given}:
            raise SettingsError("BLOCKCACHE_STORE_URL (or --store-url) is missing: where is Redis?")
        settings = cls(**{**values, **given})
        if settings.keys_file is not None:
            read_keys(Path(settings.keys_file))  # what is wrong with it is said at once
        return settings


@dataclass(frozen=True, slots=True)
class Rule:
    """How a setting is read from text, what it accepts, and that in words."""

    parse: Callable[[str], Any]
    accepts: Callable[[Any], bool]
    allowed: str


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _between(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: math.isfinite(value) and low <= value <= high


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_origin(origin: str) -> bool:
    return origin == "*" or ORIGIN.fullmatch(origin) is not None


def is_webhook_secret(secret: str) -> bool:
    """Whether it is a Standard Webhooks secret of a length nobody can guess."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return secret.startswith("whsec_") and 24 <= len(key) <= 64


def is_network(text: str) -> bool:
    """Whether `text` names a network and no address inside one."""
    try:
        return "/" in text and bool(ipaddress.ip_network(text))
    except ValueError:
        return False


def _is_store_url(url: str) -> bool:
    return urlsplit(url).scheme in STORE_SCHEMES


SWITCH = Rule(lambda text: TRUTHS[text.lower()], _is_switch, "true or false")

RULES: dict[str, Rule] = {
    "store_url": Rule(str, _is_store_url, "a redis://, rediss:// or unix:// URL"),
    "models": Rule(
        lambda text: tuple(name.strip() for name in text.split(",")),
        lambda names: len(names) <= MAX_MODELS and all(names),
        f"up to {MAX_MODELS} names of models with commas between them",
    ),
    "host": Rule(str, bool, "a host name or address"),
    "port": Rule(int, _between(0, 65_535), "a whole number from 0 to 65535"),
    "allow_anonymous": SWITCH,
    "keys": Rule(parse_keys, lambda keys: isinstance(keys, tuple), "the lines of a keys file"),
    "keys_file": Rule(str, lambda path: path is None or bool(path), "the path of a file"),
    "metrics_need_key": SWITCH,
    "allowed_hosts": Rule(
        lambda text: tuple(name.strip().lower() for name in text.split(",")),
        lambda names: all(map(HOST.fullmatch, names)),
        "names like gateway.example with commas between them, without ports",
    ),
    "cors_origins": Rule(
        lambda text: tuple(origin.strip() for origin in text.split(",")),
        lambda origins: all(map(_is_origin, origins)),
        "origins like https://example.org with commas between them, or *",
    ),
    "default_budget_ms": Rule(float, _between(1, MAX_BUDGET_MS), "milliseconds from 1 to 600000"),
    "grace_ms": Rule(
        float,
        lambda value: value is None or 0 <= value <= MAX_BUDGET_MS,
        "milliseconds from 0 to 600000",
    ),
    "guidance_scale": Rule(float, _between(1, 30), "a number from 1 to 30"),
    "max_body_bytes": Rule(int, _between(1024, 2**26), "bytes from 1024 to 67108864"),
    "max_images": Rule(int, _between(1, MAX_IMAGES), f"a whole number from 1 to {MAX_IMAGES}"),
    "max_prompt_chars": Rule(
        int, _between(1, MAX_PROMPT_CHARS), f"a whole number from 1 to {MAX_PROMPT_CHARS}"
    ),
    "queue_cap": Rule(int, _between(1, 10**6), "a whole number from 1 to 1000000"),
    "fleet_ttl_ms": Rule(float, _between(0, 500), "milliseconds from 0 to 500"),
    "body_timeout_s": Rule(float, _between(0.1, 600), "seconds from 0.1 to 600"),
    "shutdown_grace_s": Rule(float, _between(0, 600), "seconds from 0 to 600"),
    "max_event_streams": Rule(
        int, _between(1, MAX_STREAMS), f"a whole number from 1 to {MAX_STREAMS}"
    ),
    "heartbeat_s": Rule(float, _between(0.1, 60), "seconds from 0.1 to 60"),
    "webhook_secret": Rule(
        str,
        lambda secret: secret is None or is_webhook_secret(secret),
        "whsec_ and 24 to 64 bytes in base64 after it (echo whsec_$(openssl rand -base64 32))",
    ),
    "webhook_networks": Rule(
        lambda text: tuple(network.strip() for network in text.split(",")),
        lambda networks: all(map(is_network, networks)),
        "networks like 10.0.0.0/8 with commas between them",
    ),
    "otlp_endpoint": Rule(
        str,
        lambda url: url is None or is_endpoint(url),
        "the http:// or https:// URL of an OTLP collector",
    ),
}

if set(RULES) != {field.name for field in fields(Settings)}:
    raise AssertionError("every setting needs a rule")


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _parse(name: str, text: str) -> Any:
    rule = RULES[name]
    try:
        value = rule.parse(text)
    except (ValueError, KeyError):
        value = None
    if value is None or not rule.accepts(value):
        raise SettingsError(f"{_variable(name)} must be {rule.allowed}, not {_shown(name, text)}")
    return value


def _shown(name: str, value: Any) -> str:
    # A URL may carry a password, and a key that nobody hashed is one.
    return "what it is set to" if name in SECRETS else repr(value)
