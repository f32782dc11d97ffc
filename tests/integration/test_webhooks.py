"""Webhooks over real connections: signatures as Standard Webhooks has them, faults of receivers, refused addresses."""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest
from standardwebhooks import WebhookVerificationError
from tests.support.certificates import OPENSSL, Authority, Certificate
from tests.support.deadlines import until, within
from tests.support.memory_endpoints import SECRET, endpoint
from tests.support.ports import free_ports
from tests.support.receiver import ENDLESS, RESET, SILENT, Receiver, running_receiver

from tradingsignals_server.adapters.notifications.addresses import Resolve, resolve
from tradingsignals_server.adapters.notifications.webhook import RESPONSE_CHARACTERS, WebhookSender
from tradingsignals_server.application.ports.notifications import Message
from tradingsignals_server.domain.access import Network
from tradingsignals_server.domain.notifications import Attempt

DOCUMENT = Path(__file__).parents[2] / "docs" / "notifications.md"
OTHER_SECRET = "whsec_" + "B" * 42 + "A="
LOOPBACK = (ip_network("127.0.0.0/8"),)
MESSAGE = Message("msg_1", '{"type":"signal","data":"é"}'.encode(), datetime(2026, 1, 2, tzinfo=UTC))


def now() -> datetime:
    return datetime.now(UTC)


def at(*addresses: str) -> Resolve:
    """Return what resolves every host to these addresses."""

    async def resolved(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolved


async def send(
    url: str,
    networks: Sequence[Network] = LOOPBACK,
    found: Resolve = resolve,
    trusted: Certificate | None = None,
    timeout_s: float = 30.0,
) -> Attempt:
    def context() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=None if trusted is None else trusted.path)

    sender = WebhookSender(networks, now, make_context=context, resolve=found, timeout_s=timeout_s)
    return await sender.send(endpoint(url=url), MESSAGE)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


def url(receiver: Receiver, path: str = "/signals?key=k") -> str:
    return f"http://127.0.0.1:{receiver.port}{path}"


async def test_message_is_verified_by_the_package_of_standard_webhooks(receiver: Receiver) -> None:
    attempt = await send(url(receiver))
    (received,) = receiver.received
    received.verify(SECRET)
    with pytest.raises(WebhookVerificationError):
        received.verify(OTHER_SECRET)
    assert (received.id, received.body) == (MESSAGE.id, MESSAGE.body)
    assert received.headers["content-type"] == "application/json"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert (attempt.http_status, attempt.error) == (204, "")
    assert attempt.latency_ms > 0


@pytest.mark.parametrize("status", [300, 301, 302, 307, 400, 401, 404, 410, 429, 500, 503])
async def test_every_status_but_2xx_is_a_failure_and_redirects_are_not_followed(
    receiver: Receiver, status: int
) -> None:
    receiver.script = [
        b"HTTP/1.1 %d X\r\nlocation: %s\r\ncontent-length: 4\r\n\r\nwhy?" % (status, url(receiver).encode())
    ]
    attempt = await send(url(receiver))
    assert (attempt.http_status, attempt.error) == (status, f"the receiver has responded with HTTP {status}")
    assert attempt.response == "why?"
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("120", 120), ("0", 0), ("Fri, 02 Jan 1970 00:00:00 GMT", 0), ("soon", None), ("-5", None)),
        ("Fri, 02 Jan 2026 99999999999999:00:00 GMT", None),
        ("Fri, 02 Jan 2026 00:00:00 +" + "9" * 30, None),
    ],
)
async def test_retry_after_is_read_in_both_forms(receiver: Receiver, value: str, seconds: int | None) -> None:
    receiver.script = [f"HTTP/1.1 503 X\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n".encode()]
    attempt = await send(url(receiver))
    assert attempt.retry_after == (None if seconds is None else timedelta(seconds=seconds))


async def test_reset_connection_is_a_failure_without_a_status(receiver: Receiver) -> None:
    receiver.script = [RESET]
    attempt = await send(url(receiver))
    assert attempt.http_status is None
    assert attempt.error


async def test_silent_receiver_is_given_up(receiver: Receiver) -> None:
    receiver.script = [SILENT]
    attempt = await send(url(receiver), timeout_s=0.5)
    assert (attempt.http_status, attempt.error) == (None, "no response within 0.5 s")


async def test_status_counts_although_the_body_never_ends(receiver: Receiver) -> None:
    receiver.script = [ENDLESS]
    attempt = await send(url(receiver), timeout_s=0.5)
    assert (attempt.http_status, attempt.error, attempt.response) == (200, "", "begun")


async def test_large_body_is_read_no_further_than_it_is_shown(receiver: Receiver) -> None:
    receiver.script = [b"HTTP/1.1 500 X\r\ncontent-length: 50000000\r\n\r\n" + b"a\x00" * 100_000]
    attempt = await send(url(receiver))
    assert attempt.response == "a\N{REPLACEMENT CHARACTER}" * (RESPONSE_CHARACTERS // 2)


async def test_response_that_is_no_http_is_a_failure(receiver: Receiver) -> None:
    receiver.script = [b"220 mail.example ESMTP\r\n"]
    attempt = await send(url(receiver))
    assert attempt.http_status is None
    assert attempt.error


async def test_port_without_a_listener_is_a_failure() -> None:
    (port,) = free_ports(1)
    attempt = await send(f"http://127.0.0.1:{port}/")
    assert attempt.http_status is None
    assert attempt.error


async def test_host_without_an_address_is_a_failure() -> None:
    attempt = await send("https://no.such.host.invalid/", networks=())
    assert attempt.http_status is None
    assert attempt.error


PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104
    *("224.0.1.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff0e::1", "::ffff:127.0.0.1"),
    *("2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2001:0:0:0:0:0:80ff:fffe"),
    *("::a9fe:a9fe", "::ffff:0:7f00:1", "fec0::1"),
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_name_that_resolves_to_an_address_that_is_not_public_is_refused(address: str, receiver: Receiver) -> None:
    attempt = await send(f"https://desk.example:{receiver.port}/", networks=(), found=at(address))
    assert attempt.error == f"resolves to {address}, which is not public: WEBHOOK_NETWORKS allows it"
    assert not receiver.received


@pytest.mark.parametrize("host", ["xn--zzzzzz", "xn--strae-oqa.example"])
async def test_host_is_looked_up_as_it_is_written(host: str, receiver: Receiver) -> None:
    found = []

    async def note(host: str, port: int) -> Sequence[str]:
        found.append(host)
        return ["127.0.0.1"]

    assert not (await send(f"http://{host}:{receiver.port}/", found=note)).error
    assert found == [host]
    assert receiver.received[0].headers["host"] == f"{host}:{receiver.port}"


async def test_host_that_no_certificate_can_have_is_a_failure(receiver: Receiver) -> None:
    attempt = await send(f"https://.desk.example:{receiver.port}/", found=at("127.0.0.1"))
    assert "server_hostname" in attempt.error


async def test_authorities_that_cannot_be_read_are_a_failure_until_they_can(receiver: Receiver) -> None:
    def context() -> ssl.SSLContext:
        return contexts.pop(0) or ssl.create_default_context(cafile="/no/such/file")

    contexts = [None, ssl.create_default_context()]
    sender = WebhookSender(LOOPBACK, now, make_context=context)
    attempts = [await sender.send(endpoint(url=url(receiver)), MESSAGE) for _ in range(2)]
    assert "SSL_CERT_FILE" in attempts[0].error
    assert not attempts[1].error


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.0.0.1", "[::ffff:7f00:1]"])
async def test_other_spellings_of_loopback_are_refused(host: str) -> None:
    attempt = await send(f"https://{host}:9/", networks=())
    assert "not public" in attempt.error, attempt


async def test_network_that_is_named_is_sent_to_and_no_other(receiver: Receiver) -> None:
    assert not (await send(url(receiver))).error
    attempt = await send(url(receiver), networks=(ip_network("10.0.0.0/8"),))
    assert "WEBHOOK_NETWORKS" in attempt.error


async def test_public_address_is_not_sent_to_without_encryption() -> None:
    attempt = await send("http://desk.example/", found=at("8.8.8.8"))
    assert "without encryption" in attempt.error


async def test_next_address_of_a_host_is_tried_if_one_does_not_accept(receiver: Receiver) -> None:
    attempt = await send(f"http://desk.example:{receiver.port}/", found=at("127.0.0.9", "10.0.0.1", "127.0.0.1"))
    assert not attempt.error
    assert receiver.received[0].headers["host"] == f"desk.example:{receiver.port}"


async def test_documented_receiver_takes_each_message_once_and_refuses_forged_ones() -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    (port,) = free_ports(1)
    environment = {"WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", snippet), env=environment, stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdout is not None
    sender = WebhookSender(LOOPBACK, now, make_context=ssl.create_default_context)
    one = endpoint(url=f"http://127.0.0.1:{port}/")
    first, second = (
        Message(f"msg_{n}", b'{"type":"signal","data":{"sequence":"%d"}}' % n, MESSAGE.time) for n in (1, 2)
    )
    try:

        async def is_there() -> bool:
            return (await sender.send(one, first)).http_status == 204

        await until(is_there)
        assert (await sender.send(one, first)).http_status == 204
        assert (await sender.send(replace(one, secret=OTHER_SECRET), second)).http_status == 400
        assert (await sender.send(one, second)).http_status == 204
        lines = [await within(process.stdout.readline()) for _ in range(2)]
        assert lines == [b"signal {'sequence': '%d'}\n" % n for n in (1, 2)]
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def encrypted(folder: Path, name: str, days: int = 2) -> AsyncIterator[tuple[Receiver, Authority]]:
    """Run a receiver with a certificate for a DNS name."""
    authority = Authority.make(folder)
    certificate = authority.certificate("receiver", f"DNS:{name}", days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    async with running_receiver(context) as receiver:
        yield receiver, authority


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl on this machine")
class TestTls:
    async def test_certificate_is_verified_by_the_name_and_not_by_the_address(self, tmp_path: Path) -> None:
        async with encrypted(tmp_path, "desk.example") as (receiver, authority):
            place = f"desk.example:{receiver.port}/"
            attempt = await send(f"https://{place}", found=at("127.0.0.1"), trusted=authority.own)
            assert not attempt.error
            receiver.received[0].verify(SECRET)

    @pytest.mark.parametrize(("name", "days"), [("other.example", 2), ("desk.example", -1)])
    async def test_certificate_of_another_name_or_expired_is_refused(
        self, tmp_path: Path, name: str, days: int
    ) -> None:
        async with encrypted(tmp_path, name, days) as (receiver, authority):
            place = f"desk.example:{receiver.port}/"
            attempt = await send(f"https://{place}", found=at("127.0.0.1"), trusted=authority.own)
            assert "certificate" in attempt.error
            assert not receiver.received

    async def test_certificate_of_an_unknown_authority_is_refused(self, tmp_path: Path) -> None:
        async with encrypted(tmp_path, "desk.example") as (receiver, _):
            attempt = await send(f"https://desk.example:{receiver.port}/", found=at("127.0.0.1"))
            assert "certificate" in attempt.error
            assert not receiver.received
