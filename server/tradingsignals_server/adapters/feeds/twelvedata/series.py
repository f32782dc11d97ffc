"""The time series of Twelve Data as bars, and its errors. No I/O.

A series is {"meta": {...}, "values": [{"datetime", "open", "high", "low", "close", "volume"}, ...], "status": "ok"}.
Its numbers are texts, and currencies have no volume. An error is {"code", "message", "status": "error"}, whatever the
status of the response. A range without data is an error too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ....domain.bars import Bar
from ....domain.errors import InvalidBar, time_text
from ....domain.symbols import slashed_pair

INTERVAL_NAMES: Mapping[timedelta, str] = {
    timedelta(minutes=1): "1min",
    timedelta(minutes=5): "5min",
    timedelta(minutes=15): "15min",
    timedelta(minutes=30): "30min",
    timedelta(hours=1): "1h",
    timedelta(hours=4): "4h",
    timedelta(days=1): "1day",
}
"""What the API calls each interval that bars may have."""

_NO_DATA = ("no data is available", "data not found")
_MALFORMED = (ArithmeticError, KeyError, TypeError, ValueError)
_LONGEST_MESSAGE = 200
_SHOWN_CHARACTERS = 40


class SeriesError(Exception):
    """No series was returned. The message is one sentence without the key.

    concerns: the symbol that it concerns, None if it concerns all.
    """

    def __init__(self, message: str, concerns: str | None = None) -> None:
        super().__init__(message)
        self.concerns = concerns


class ApiUnavailable(SeriesError):
    """The API cannot be reached, failed, or returned something else than a series."""


class OutOfCredits(SeriesError):
    """The requests of this minute, or of this day, are used up. retry_after: seconds, None if the API does not say."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RequestRefused(SeriesError):
    """The key or the symbol is refused, so the same request will be refused until one of them is changed."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A value that is not a bar. time: its open, None if that cannot be read."""

    time: datetime | None
    problem: str

    def __str__(self) -> str:
        return self.problem if self.time is None else f"{time_text(self.time)}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Series:
    """Bars in the order of time, one for each time, and the values that are none."""

    bars: tuple[Bar, ...] = ()
    rejected: tuple[Rejected, ...] = ()


def api_symbol(symbol: str) -> str:
    """Return what the API calls `symbol`, which is in its normal form: USD/COP for USDCOP, other names as they are."""
    return slashed_pair(symbol) or symbol


def read_series(document: object, symbol: str, interval: timedelta) -> Series:
    """Read the document of a successful response as bars of `symbol`.

    Values may have any order, and repeat; of two different values of one time the first is taken.

    Raises:
        ApiUnavailable: it is not a series.
    """
    values = document.get("values") if isinstance(document, dict) else None
    if not isinstance(values, list):
        raise ApiUnavailable("Twelve Data returned no series of values")
    bars: dict[datetime, Bar] = {}
    rejected = []
    for value in values:
        try:
            time = _time(value)
        except _MALFORMED:
            rejected.append(Rejected(None, f"{_shown(value)} has no time"))
            continue
        try:
            bar = _bar(value, symbol, time, interval)
        except InvalidBar as error:
            rejected.append(Rejected(time, error.message))
        except _MALFORMED:
            rejected.append(Rejected(time, f"{_shown(value)} lacks a price, or has one that is not a number"))
        else:
            if bars.setdefault(time, bar) != bar:
                rejected.append(Rejected(time, "there are two different bars for this time; the first is taken"))
    return Series(tuple(bars[time] for time in sorted(bars)), tuple(rejected))


def is_error(document: object) -> bool:
    """Return whether a document reports an error."""
    return isinstance(document, dict) and document.get("status") == "error"


def series_of_error(status: int, document: object, symbol: str, retry_after: float | None) -> Series:
    """Return the empty series if the error is that there is no data in the range.

    Args:
        status: the status of the HTTP response, if `document` does not state a code.
        document: the body of the response, None if it is not JSON.
        symbol: the symbol of the request.
        retry_after: seconds after which the API allows the next request, None if it does not say.

    Raises:
        SeriesError: for any other error.
    """
    stated = document if isinstance(document, dict) else {}
    code = stated["code"] if isinstance(stated.get("code"), int) else status
    message = _one_line(str(stated.get("message", "")))
    if code in {400, 404} and message.lower().startswith(_NO_DATA):
        return Series()
    detail = f": {message}" if message else ""
    if code == 429:
        raise OutOfCredits(f"Twelve Data allows no further requests for now{detail}", retry_after)
    if code == 401:
        raise RequestRefused(f"Twelve Data refuses TWELVEDATA_API_KEY (401){detail}")
    if 400 <= code < 500:
        name = api_symbol(symbol)
        raise RequestRefused(f"{symbol}: Twelve Data refuses requests for {name} ({code}){detail}", symbol)
    raise ApiUnavailable(f"Twelve Data failed ({code}){detail}")


def _time(value: Mapping[str, object]) -> datetime:
    time = datetime.fromisoformat(str(value["datetime"]))
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _bar(value: Mapping[str, object], symbol: str, time: datetime, interval: timedelta) -> Bar:
    open_, high, low, close = (_number(value[name]) for name in ("open", "high", "low", "close"))
    return Bar(symbol, time, open_, high, low, close, _number(value.get("volume") or 0.0), interval=interval)


def _number(value: object) -> float:
    if not isinstance(value, str | int | float):
        raise TypeError(value)
    return float(value)


def _shown(value: object) -> str:
    text = _one_line(str(value))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _one_line(text: str) -> str:
    """Return a text of the API as a part of a line of ours."""
    printable = "".join(character if character.isprintable() else " " for character in text[:_LONGEST_MESSAGE])
    return " ".join(printable.split()).rstrip(".")
