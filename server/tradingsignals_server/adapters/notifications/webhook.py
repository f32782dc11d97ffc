"""Sends messages as Standard Webhooks has them (https://www.standardwebhooks.com): a signed POST of JSON."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from hmac import digest
from time import monotonic
from typing import Final

import httpx

from ... import __version__
from ...application.ports.clock import Clock
from ...application.ports.notifications import Message
from ...domain.access import Network
from ...domain.notifications import Attempt, Endpoint
from .addresses import AddressRefused, Resolve, allowed, resolve

ATTEMPT_TIMEOUT_S: Final = 10.0
"""For all of an attempt; below the 15 seconds after which the edge gives up on a test."""
_CONNECT_TIMEOUT_S: Final = 4.0
"""For one address, so that another one of the host can be tried."""
RESPONSE_CHARACTERS: Final = 1000
_RESPONSE_BYTES: Final = 4 * RESPONSE_CHARACTERS


class WebhookSender:
    """Implements application.ports.notifications.Sender.

    Each attempt has a connection of its own, to an address that has just been checked. Redirects are not followed, and
    the proxies of the environment are not used, as they would connect to what was not checked.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        clock: Clock,
        *,
        make_context: Callable[[], ssl.SSLContext] = httpx.create_ssl_context,
        resolve: Resolve = resolve,
        timeout_s: float = ATTEMPT_TIMEOUT_S,
    ) -> None:
        """Prepare to send.

        Args:
            networks: may be sent to besides public addresses, also without encryption.
            clock: the time of attempts.
            make_context: makes what verifies certificates: by SSL_CERT_FILE if that is set.
            resolve: finds the addresses of a host.
            timeout_s: of an attempt.
        """
        self._networks = networks
        self._clock = clock
        self._make_context = make_context
        self._resolve = resolve
        self._timeout_s = timeout_s
        self._context: ssl.SSLContext | None = None

    async def send(self, endpoint: Endpoint, message: Message) -> Attempt:
        """See Sender."""
        exchange = _Exchange()
        began, time, error = monotonic(), self._clock(), ""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._exchange(endpoint, message, int(time.timestamp()), exchange)
        except TimeoutError:
            error = f"no response within {self._timeout_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, AddressRefused) as failure:
            error = _one_line(failure)
        # What comes after the status does not matter: the receiver has decided.
        if exchange.status is not None:
            error = "" if 200 <= exchange.status < 300 else f"the receiver has responded with HTTP {exchange.status}"
        return Attempt(
            time,
            (monotonic() - began) * 1000.0,
            exchange.status,
            error,
            _retry_after(exchange.headers, time),
            _shown(exchange.body),
        )

    async def _exchange(self, endpoint: Endpoint, message: Message, at: int, exchange: _Exchange) -> None:
        url = httpx.URL(endpoint.url)
        is_encrypted = url.scheme == "https"
        port = url.port or (443 if is_encrypted else 80)
        host = url.raw_host.decode("ascii")  # as it is written: url.host has what punycode stands for
        found = allowed(await self._resolve(host, port), self._networks, is_encrypted=is_encrypted)
        headers = {
            "host": url.netloc.decode("ascii"),
            "content-type": "application/json",
            "user-agent": f"tradingsignals/{__version__}",
            "connection": "close",
            **signed_headers(endpoint.secret, message, at),
        }
        async with httpx.AsyncClient(
            verify=await self._verification(),
            trust_env=False,
            timeout=httpx.Timeout(self._timeout_s, connect=_CONNECT_TIMEOUT_S),
        ) as client:
            for address in found:
                request = client.build_request(
                    "POST",
                    url.copy_with(host=address),
                    headers=headers,
                    content=message.body,
                    extensions={"sni_hostname": host},
                )
                try:
                    response = await client.send(request, stream=True)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    if address == found[-1]:
                        raise
                    continue  # nothing was sent
                await exchange.read(response)
                return

    async def _verification(self) -> ssl.SSLContext:
        if self._context is None:
            try:
                self._context = await asyncio.to_thread(self._make_context)  # reading certificates takes milliseconds
            except OSError as error:
                raise ValueError(f"the authorities that SSL_CERT_FILE names cannot be read: {error}") from error
        return self._context


class _Exchange:
    """What a receiver has responded with so far."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.body = bytearray()

    async def read(self, response: httpx.Response) -> None:
        """Read the beginning of a response, as it came: a compressed one is not unpacked."""
        self.status, self.headers = response.status_code, response.headers
        try:
            async for chunk in response.aiter_raw():
                self.body += chunk[: _RESPONSE_BYTES - len(self.body)]
                if len(self.body) >= _RESPONSE_BYTES:
                    return
        finally:
            await response.aclose()


def signed_headers(secret: str, message: Message, at: int) -> dict[str, str]:
    """Return the headers of Standard Webhooks for a message that is sent `at`, in seconds since 1970."""
    key = b64decode(secret.removeprefix("whsec_"))
    signature = digest(key, f"{message.id}.{at}.".encode() + message.body, sha256)
    return {
        "webhook-id": message.id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{b64encode(signature).decode()}",
    }


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return how long the receiver asks to wait, in seconds or until a date; None if it does not, or in other words."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=int(value[:9]))
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max(until - now, timedelta(0))


def _one_line(error: Exception) -> str:
    said = (isinstance(error, OSError) and error.strerror) or str(error)
    text = " ".join(said.split()) or type(error).__name__
    return text[:300]


def _shown(body: bytearray) -> str:
    """Return the beginning of a body as printable text."""
    text = body.decode("utf-8", "replace")[:RESPONSE_CHARACTERS]
    return "".join(each if each.isprintable() or each == "\n" else "�" for each in text)
