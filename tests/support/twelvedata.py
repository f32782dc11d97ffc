"""A fake of the time series of Twelve Data, as its documentation describes them: in process, or at a port."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
NO_DATA = "No data is available on the specified dates. Try setting different start/end dates."
WRONG_KEY = "**apikey** parameter is incorrect or not specified. You can get your free API Key instantly."
NO_CREDITS = "You have run out of API credits for the current minute. 9 API credits were used, with the limit being 8."

_INTERVALS = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "1h": 60, "4h": 240, "1day": 1440}


@dataclass(frozen=True)
class Response:
    """A response of the fake; a `status` of 0 is a connection that breaks."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def error(code: int, message: str, status: int = 200, **headers: str) -> Response:
    """Return an error in the documented form, with an HTTP status of its own."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, json.dumps({"code": code, "message": message, "status": "error"}).encode(), named)


BROKEN = Response(0, b"")
"""The connection breaks."""


@dataclass
class Request:
    """A request, and when it came."""

    at: datetime
    parameters: Mapping[str, str]
    authorization: str


class FakeTwelveData:
    """A market that never closes, of `symbols` as the API calls them.

    The newest value of a series has not closed yet, as in the API.

    scripted: responses for the next requests, before any series. closed: opens of bars that the market does not have.
    lag: how long after its close a bar appears. through: open of the newest bar that it has, None for the present.
    away: connections break. changed: makes the values of a response of those of the market.
    """

    def __init__(self, clock: Callable[[], datetime], *symbols: str) -> None:
        self._clock = clock
        self._symbols = symbols or ("USD/COP",)
        self.requests: list[Request] = []
        self.scripted: deque[Response] = deque()
        self.away = False
        self.closed: set[datetime] = set()
        self.lag = timedelta()
        self.through: datetime | None = None
        self.changed: Callable[[list[dict[str, Any]]], list[Any]] = lambda values: values

    def respond(self, target: str, authorization: str) -> Response:
        """Return the response to GET `target`."""
        parameters = dict(parse_qsl(urlsplit(target).query))
        self.requests.append(Request(self._clock(), parameters, authorization))
        if self.away:
            return BROKEN
        if self.scripted:
            return self.scripted.popleft()
        if urlsplit(target).path != "/time_series" or authorization != f"apikey {KEY}":
            return error(401, WRONG_KEY, 401)
        if parameters["symbol"] not in self._symbols:
            return error(404, "**symbol** or **figi** parameter is missing or invalid. Please provide a valid symbol.")
        values = self._values(parameters)
        if not values:
            return error(400, NO_DATA)
        document = {"meta": {"symbol": parameters["symbol"]}, "values": self.changed(values), "status": "ok"}
        return Response(200, json.dumps(document).encode(), {"api-credits-used": "1", "api-credits-left": "7"})

    def _values(self, parameters: Mapping[str, str]) -> list[dict[str, str]]:
        interval = timedelta(minutes=_INTERVALS[parameters["interval"]])
        assert (parameters["timezone"], parameters["order"], parameters["format"]) == ("UTC", "ASC", "JSON")
        start, end = (
            datetime.fromisoformat(parameters[name]).replace(tzinfo=UTC) for name in ("start_date", "end_date")
        )
        midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
        time = midnight - (midnight - start) // interval * interval
        last = min(end, self._clock(), self.through or end)
        values = []
        while time <= last:
            appears = time if not self.lag else time + interval + self.lag
            if time not in self.closed and appears <= self._clock():
                values.append(value_at(time))
            time += interval
        return values[-int(parameters["outputsize"]) :]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen at a port of this machine, and return the address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = dict(line.lower().split(": ", 1)[:1] + line.split(": ", 1)[1:] for line in head[1:] if line)
            response = self.respond(head[0].split()[1], fields.get("authorization", ""))
            if response.status:
                headers = {**response.headers, "content-length": str(len(response.body)), "connection": "close"}
                lines = [f"HTTP/1.1 {response.status} -", *(f"{name}: {value}" for name, value in headers.items())]
                writer.write("\r\n".join([*lines, "", ""]).encode() + response.body)
        finally:
            writer.close()


def value_at(time: datetime) -> dict[str, str]:
    """Return the value of a bar, which has no volume, as those of currencies."""
    price = 4000 + time.minute
    prices = {"open": price, "high": price + 2, "low": price - 1, "close": price + 1}
    return {"datetime": f"{time:%Y-%m-%d %H:%M:%S}", **{name: f"{each:.5f}" for name, each in prices.items()}}
