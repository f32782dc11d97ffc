"""Warnings of `tradingsignals up` before it starts."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest

from tradingsignals_server.commands import up
from tradingsignals_server.config import Settings

Start = Callable[[Settings], Awaitable[None]]


class StartedError(Exception):
    """Raised at the point at which the service would start."""


@pytest.mark.parametrize(
    ("start", "settings", "named"),
    [
        (up.up, {"signal_service_host": "0.0.0.0"}, ["SIGNAL_SERVICE_HOST=0.0.0.0"]),  # noqa: S104 - nothing listens
        (up.up_multi_server, {"signal_service_host": "10.0.0.7"}, ["SIGNAL_SERVICE_HOST=10.0.0.7"]),
        (up.up, {"signal_service_host": "::", "grpc_host": "::"}, ["SIGNAL_SERVICE_HOST=::", "GRPC_HOST=::"]),
        (up.serve, {"grpc_host": "desk.example"}, ["GRPC_HOST=desk.example"]),
        (up.up, {"signal_service_host": "127.0.0.2", "grpc_host": "localhost"}, []),
        (up.serve, {"grpc_host": "::1"}, []),
    ],
)
async def test_listening_beyond_this_machine_gives_a_warning(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    start: Start,
    settings: dict[str, str],
    named: list[str],
) -> None:
    def started(*_: object) -> None:
        raise StartedError

    for name in ("all_in_one", "multi_server", "database"):
        monkeypatch.setattr(up, name, started)
    with caplog.at_level(logging.WARNING), pytest.raises(StartedError):
        await start(Settings(**settings))  # type: ignore[arg-type]  # all of them are strings
    assert [message.split()[0] for message in caplog.messages] == named
    assert all("without authentication" in message for message in caplog.messages)
