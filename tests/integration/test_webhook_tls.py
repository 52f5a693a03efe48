"""A webhook is called by address, and its certificate has to be for the name all the same."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from app.webhooks import Sender
from tests.integration.test_webhooks import SECRET
from tests.integration.webhook_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NETWORKS = ("127.0.0.0/8", "::1/128")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and its certificate for `localhost`, signed by itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no openssl on this machine")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    how = ("-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2")
    names = ("-addext", "subjectAltName=DNS:localhost")
    files = ("-keyout", str(file), "-out", str(file) + ".crt")
    subprocess.run([openssl, "req", *how, *names, *files], check=True, capture_output=True)
    file.write_text(file.read_text() + file.with_name("both.pem.crt").read_text())
    return file


@pytest.fixture
def receiver(certificate: Path) -> Iterator[Receiver]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with Receiver(tls=tls) as listening:
        yield listening


async def sent(url: str, certificate: Path | None) -> int:
    tls = ssl.create_default_context(cafile=certificate) if certificate else None
    sender = Sender(SECRET, NETWORKS, tls)
    try:
        return await sender.send(url, "id", "{}")
    finally:
        await sender.aclose()


async def test_a_certificate_for_the_name_is_accepted(
    receiver: Receiver, certificate: Path
) -> None:
    assert await sent(f"https://localhost:{receiver.port}/", certificate) == 204
    assert receiver.received[0].headers["host"] == f"localhost:{receiver.port}"


async def test_a_certificate_for_another_name_is_refused(
    receiver: Receiver, certificate: Path
) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        await sent(f"https://127.0.0.1:{receiver.port}/", certificate)


async def test_a_certificate_by_nobody_known_is_refused(receiver: Receiver) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        await sent(f"https://localhost:{receiver.port}/", None)
