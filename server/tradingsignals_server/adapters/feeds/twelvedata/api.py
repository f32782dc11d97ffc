"""A client of the time series of Twelve Data: one request at a time, within the credits of the key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import httpx
from pydantic import SecretStr

from ....application.ports.clock import Clock, Sleep
from .series import (
    INTERVAL_NAMES,
    ApiUnavailable,
    OutOfCredits,
    Series,
    api_symbol,
    is_error,
    read_series,
    series_of_error,
)

MAXIMUM_VALUES = 5000
"""Values that the API returns at most."""

_TIMEOUT_S = 10.0
"""For each step of a request; _DEADLINE_S is for all of it."""
_DEADLINE_S = 30.0
_MAXIMUM_BYTES = 8 << 20
"""Size of a response, unpacked. One with MAXIMUM_VALUES has less than one megabyte."""
_MINUTE_S = 60.0
_LONGEST_PAUSE_S = 900.0


class TwelveDataApi:
    """Requests series. After a response that no credits are left the next request waits for the next minute.

    The key is sent in a header, because addresses are logged on the way.
    """

    def __init__(self, http: httpx.AsyncClient, key: SecretStr, clock: Clock, sleep: Sleep) -> None:
        """Prepare to request.

        Args:
            http: a client whose base address is that of the API.
            key: the key of the account.
            clock: current time, in UTC.
            sleep: waits for a number of seconds.
        """
        self._http = http
        self._key = key
        self._clock = clock
        self._sleep = sleep
        self._one_request = asyncio.Lock()
        self._next_at: datetime | None = None
        self._refusals = 0
        """Responses without credits since the last one with a series."""

    async def series(self, symbol: str, interval: timedelta, start: datetime, end: datetime) -> Series:
        """Request the bars of `symbol` from `start` to `end`, which may be MAXIMUM_VALUES intervals apart.

        Whether the one at `end` belongs to it depends on the API; the newest may not have closed.

        Raises:
            SeriesError: there is no series.
        """
        parameters = {
            "symbol": api_symbol(symbol),
            "interval": INTERVAL_NAMES[interval],
            "start_date": f"{start:%Y-%m-%d %H:%M:%S}",
            "end_date": f"{end:%Y-%m-%d %H:%M:%S}",
            "outputsize": str(MAXIMUM_VALUES),
            "timezone": "UTC",
            "order": "ASC",
            "format": "JSON",
        }
        async with self._one_request:
            if self._next_at is not None and (ahead := (self._next_at - self._clock()).total_seconds()) > 0:
                await self._sleep(ahead)
            self._next_at = None
            response, body = await self._get(parameters)
            return self._read(response, body, symbol, interval)

    async def _get(self, parameters: dict[str, str]) -> tuple[httpx.Response, bytes]:
        headers = {"Authorization": f"apikey {self._key.get_secret_value()}", "Accept": "application/json"}
        try:
            async with (
                asyncio.timeout(_DEADLINE_S),
                self._http.stream("GET", "time_series", params=parameters, headers=headers) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MAXIMUM_BYTES:
                        raise ApiUnavailable("Twelve Data returned more than a series can have")
                return response, bytes(body)
        except TimeoutError as error:
            raise ApiUnavailable(f"Twelve Data did not respond within {_DEADLINE_S:.0f} s") from error
        except httpx.HTTPError as error:
            detail = str(error) or type(error).__name__
            raise ApiUnavailable(f"Twelve Data cannot be reached: {detail}") from error

    def _read(self, response: httpx.Response, body: bytes, symbol: str, interval: timedelta) -> Series:
        document = _parsed(body)
        try:
            if response.is_success and not is_error(document):
                series = read_series(document, symbol, interval)
            else:
                # Its message is logged and shown, and might repeat the key.
                document = _parsed(body.replace(self._key.get_secret_value().encode(), b"***"))
                series = series_of_error(response.status_code, document, symbol, _retry_after(response))
        except OutOfCredits as error:
            self._refusals += 1
            repeated = _MINUTE_S * (2 ** min(self._refusals - 1, 10) - 1)
            self._pause(error.retry_after or self._to_next_minute() + min(repeated, _LONGEST_PAUSE_S))
            raise
        self._refusals = 0
        if response.headers.get("api-credits-left", "").strip() == "0":
            self._pause(self._to_next_minute())
        return series

    def _to_next_minute(self) -> float:
        """Return the seconds until the next minute has begun at the API too, which counts credits by minutes."""
        now = self._clock()
        return _MINUTE_S + 1.0 - now.second - now.microsecond / 1e6

    def _pause(self, seconds: float) -> None:
        self._next_at = self._clock() + timedelta(seconds=seconds)


@asynccontextmanager
async def open_api(
    url: str,
    key: SecretStr,
    clock: Clock,
    sleep: Sleep = asyncio.sleep,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[TwelveDataApi]:
    """Open a client.

    Args:
        url: address of the API.
        key: the key of the account.
        clock: current time, in UTC.
        sleep: replaces asyncio.sleep in tests.
        transport: replaces connections in tests.
    """
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, transport=transport) as http:
        yield TwelveDataApi(http, key, clock, sleep)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (RecursionError, ValueError):
        return None


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of the header, up to an hour; a date, which it may be too, counts as absent."""
    text = response.headers.get("retry-after", "").strip()
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() else None
