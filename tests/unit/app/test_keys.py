"""API keys: made, written down, read, recognised; never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.errors import SettingsError
from app.keyring import Keyring
from app.keys import ApiKey, digest, new_key, parse_keys, presented, read_keys, recognise
from app.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

STORE = {"BLOCKCACHE_STORE_URL": "redis://localhost"}
DIGEST = "0" * 64


def test_a_new_key_is_recognised_by_the_line_that_is_kept_of_it() -> None:
    secret, key = new_key("alice", requests_per_minute=5)

    assert recognise(secret, parse_keys(key.line)) == key
    assert secret not in key.line


def test_no_two_keys_are_alike() -> None:
    assert len({new_key("alice")[0] for _ in range(50)}) == 50


def test_only_the_whole_key_is_recognised() -> None:
    secret, key = new_key("alice")

    for other in (secret[:-1], secret + "x", secret.upper(), key.digest, "", "kéy"):
        assert recognise(other, [key]) is None


def test_each_of_several_keys_is_recognised() -> None:
    made = [new_key(name) for name in ("alice", "bob", "carol")]
    keys = [key for _, key in made]

    assert [recognise(secret, keys) for secret, _ in made] == keys


def test_a_keys_file_may_have_comments_limits_and_a_name_twice() -> None:
    text = f"# ours\n\nalice sha256:{DIGEST}  # old\nalice sha256:{'1' * 64} concurrent_jobs=2\n"

    assert parse_keys(text) == (
        ApiKey("alice", DIGEST),
        ApiKey("alice", "1" * 64, concurrent_jobs=2),
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("alice", "never the key itself"),
        ("alice bck_secret", "never the key itself"),
        (f"alice {DIGEST}", "never the key itself"),
        (f"a/b sha256:{DIGEST}", "a name has"),
        (f"alice sha256:{DIGEST} rate=5", "requests_per_minute=N"),
        (f"alice sha256:{DIGEST} concurrent_jobs=0", "from 1 to"),
        (f"alice sha256:{DIGEST} concurrent_jobs=100000", "from 1 to"),
        (f"alice sha256:{DIGEST} concurrent_jobs=", "from 1 to"),
    ],
)
def test_a_wrong_line_is_named_and_not_repeated(line: str, words: str) -> None:
    with pytest.raises(SettingsError, match=r"keys\.txt, line 2") as raised:
        parse_keys("# first\n" + line, "keys.txt")

    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_without_a_key_lets_nobody_in_by_mistake(tmp_path: Path) -> None:
    empty = tmp_path / "keys.txt"
    empty.write_text("# nothing yet\n")

    with pytest.raises(SettingsError, match="holds no key"):
        Settings.read(STORE, {"keys_file": str(empty)})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"keys\.txt cannot be read"):
        read_keys(tmp_path / "keys.txt")


def test_keys_come_from_the_environment_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(ApiKey("bob", DIGEST).line)
    environment = {**STORE, "BLOCKCACHE_KEYS": f"alice sha256:{DIGEST}"}

    settings = Settings.read(environment, {"keys_file": str(file)})

    assert [key.name for key in Keyring.of(settings).keys] == ["alice", "bob"]


def test_with_keys_other_machines_are_let_in() -> None:
    keys = {"BLOCKCACHE_KEYS": f"alice sha256:{DIGEST}"}

    assert Settings.read({**STORE, **keys}, {"host": "192.168.1.5"}).keys


def test_keys_and_no_keys_at_once_is_refused() -> None:
    keys = {"BLOCKCACHE_KEYS": f"alice sha256:{DIGEST}"}

    with pytest.raises(SettingsError, match="choose one"):
        Settings.read({**STORE, **keys}, {"allow_anonymous": True})


@pytest.mark.parametrize(
    "origins", ["example.org", "https://a.org/path", "https://", "http://[", "*.a.org", "a,,b"]
)
def test_an_origin_that_is_none_is_refused(origins: str) -> None:
    with pytest.raises(SettingsError, match="BLOCKCACHE_CORS_ORIGINS must be origins"):
        Settings.read({**STORE, "BLOCKCACHE_CORS_ORIGINS": origins}, {})


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "secret"),
    [
        ("Bearer k", "", "k"),
        ("bearer  k ", "", "k"),
        ("Bearer k", "other", "k"),
        ("", " k ", "k"),
        ("Basic abc", "k", "k"),
        ("Basic abc", "", ""),
        ("Bearer", "", ""),
        ("", "", ""),
    ],
)
def test_a_key_is_a_bearer_token_or_has_its_own_header(
    authorization: str, x_api_key: str, secret: str
) -> None:
    assert presented(authorization, x_api_key) == secret


def test_what_is_kept_is_the_sha256() -> None:
    assert digest("abc").startswith("ba7816bf8f01cfea")
