"""What `tradingsignals up` and `serve` refuse, and warn of, before they start."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest

from tradingsignals_server.bootstrap.exposure import exposure
from tradingsignals_server.commands import up
from tradingsignals_server.config.settings import InvalidSettings, Settings

Start = Callable[[Settings], Awaitable[None]]


class StartedError(Exception):
    """Raised at the point at which the service would start."""


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command gets no further than to the point at which the service would start."""

    def started(*_: object) -> None:
        raise StartedError

    for name in ("all_in_one", "multi_server", "database"):
        monkeypatch.setattr(up, name, started)


TLS = {"tls_cert": "cert.pem", "tls_key": "key.pem"}
GRPC_TLS = {"grpc_tls_cert": "cert.pem", "grpc_tls_key": "key.pem", "grpc_tls_ca": "ca.pem"}
BEYOND = [
    (up.up, {"signal_service_host": "0.0.0.0"}, "SIGNAL_SERVICE_HOST=0.0.0.0"),  # noqa: S104 - nothing listens
    (up.up_multi_server, {"signal_service_host": "10.0.0.7"}, "SIGNAL_SERVICE_HOST=10.0.0.7"),
    (up.up, {"grpc_host": "::"}, "GRPC_HOST=::"),
    (up.serve, {"grpc_host": "desk.example"}, "GRPC_HOST=desk.example"),
    (up.serve, {"grpc_host": "192.0.2.1", **GRPC_TLS}, "GRPC_HOST=192.0.2.1"),
]


@pytest.mark.parametrize(("start", "settings", "named"), BEYOND)
async def test_listening_beyond_this_machine_without_authentication_is_refused(
    start: Start, settings: dict[str, str], named: str
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        await start(Settings(**settings))  # type: ignore[arg-type]  # all of them are strings
    message = str(caught.value)
    assert message.startswith(f"{named} listens beyond this machine, where AUTH=off")
    assert "\n" not in message


@pytest.mark.parametrize(("start", "settings", "named"), BEYOND)
async def test_listening_beyond_this_machine_is_warned_of_if_it_is_asked_for_outright(
    caplog: pytest.LogCaptureFixture, start: Start, settings: dict[str, str], named: str
) -> None:
    insecure = Settings(**settings, allow_insecure=True)  # type: ignore[arg-type]  # all of them are strings
    with caplog.at_level(logging.WARNING), pytest.raises(StartedError):
        await start(insecure)
    (message,) = caplog.messages
    assert message.startswith(f"{named} listens beyond this machine without authentication")
    assert exposure(insecure) == (message,)


@pytest.mark.parametrize(
    ("start", "settings"),
    [
        (up.up, {"signal_service_host": "127.0.0.2", "grpc_host": "localhost"}),
        (up.serve, {"grpc_host": "::1"}),
        (up.serve, {"signal_service_host": "0.0.0.0"}),  # noqa: S104 - it does not listen there
        (up.up, {"signal_service_host": "0.0.0.0", "auth": "on", **TLS}),  # noqa: S104 - nothing listens
        (up.serve, {"grpc_host": "0.0.0.0", "auth": "on", **GRPC_TLS}),  # noqa: S104 - the same
        (up.up, {"signal_service_host": "::", "grpc_host": "10.0.0.7", "auth": "on", **TLS, **GRPC_TLS}),
    ],
)
async def test_nothing_is_refused_where_callers_are_local_or_authenticated(
    start: Start, settings: dict[str, str]
) -> None:
    with pytest.raises(StartedError):
        await start(Settings(**settings))  # type: ignore[arg-type]  # all of them are strings
    if "signal_service_host" not in settings or settings.get("auth") == "on":
        assert exposure(Settings(**settings)) == (), "/health warns of nothing"  # type: ignore[arg-type]  # the same


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"signal_service_host": "::"}, "keys would be sent without encryption: set TLS_CERT and TLS_KEY"),
        (
            {"grpc_host": "10.0.0.7", **TLS},
            "keys would be sent without encryption: set GRPC_TLS_CERT, GRPC_TLS_KEY and GRPC_TLS_CA",
        ),
    ],
)
async def test_sending_keys_beyond_this_machine_without_encryption_is_refused(
    settings: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidSettings, match=message):
        await up.up(Settings(auth="on", **settings))  # type: ignore[arg-type]  # all of them are strings
    insecure = Settings(auth="on", allow_insecure=True, **settings)  # type: ignore[arg-type]  # the same
    (sentence,) = exposure(insecure)
    assert "without encryption" in sentence


async def test_metrics_that_others_can_read_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    shown = {"metrics_host": "0.0.0.0"}  # noqa: S104 - nothing listens
    with caplog.at_level(logging.WARNING), pytest.raises(StartedError):
        await up.up(Settings(**shown))  # type: ignore[arg-type]  # all of them are strings
    (message,) = caplog.messages
    assert message.startswith("METRICS_HOST=0.0.0.0 listens beyond this machine")
    caplog.clear()
    with pytest.raises(StartedError):
        await up.up(Settings(**shown, metrics_port=0, edge_metrics_port=0))  # type: ignore[arg-type]  # see above
    assert caplog.messages == []
