"""The metrics of a running service, as Prometheus reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.folders import scratch_folder
from tests.support.ports import free_ports, free_row
from tests.support.receiver import running_receiver
from tests.support.service import RunningService, running_service, service_in

from tradingsignals import InvalidRequest
from tradingsignals_server.adapters.metrics.definitions import METRICS, MetricKind
from tradingsignals_server.domain.drift import RUN

BARS = walk(2 * RUN + 60)
Samples = Mapping[str, Sequence[tuple[Mapping[str, str], float]]]


@pytest.fixture(scope="module")
async def measured() -> AsyncIterator[tuple[RunningService, int]]:
    """A service with metrics that has done a bit of everything, and their port."""
    (port,) = free_ports(1)
    with scratch_folder() as folder:
        settings = {"METRICS_PORT": str(port), "WEBHOOK_NETWORKS": "127.0.0.0/8"}
        async with (
            running_receiver() as receiver,
            running_service(folder, **settings) as service,
            service.client() as client,
        ):
            await client.publish_bars(messages(BARS[:-1]))
            await client.create_endpoint("desk", f"http://127.0.0.1:{receiver.port}/")
            await client.publish_bars(messages(BARS[-1:]))
            await client.publish_bar(messages(BARS[-1:])[0])
            yield service, port


async def scraped(port: int) -> Samples:
    """Return the samples of a scrape by the name of their metric."""
    async with httpx.AsyncClient(timeout=DEADLINE, verify=False) as caller:  # noqa: S501 - no TLS is used
        response = await caller.get(f"http://127.0.0.1:{port}/metrics")
    assert response.status_code == 200, response.text
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


async def scraped_when(port: int, condition: Callable[[Samples], bool]) -> Samples:
    """Return the first scrape that meets a condition: what a call comes to is counted after its response."""
    samples: Samples = {}
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition(samples := await scraped(port)):
                await poll()
    except TimeoutError:
        pass  # the test says what is not as it should be
    return samples


def has(samples: Samples, name: str, **labels: str) -> bool:
    """Return whether there is a sample with these labels that is not 0."""
    found = samples.get(f"tradingsignals_{name}", ())
    return any(one for given, one in found if labels.items() <= given.items())


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return the only sample with these labels, and any others."""
    (found,) = [one for has, one in samples[f"tradingsignals_{name}"] if labels.items() <= has.items()]
    return found


async def test_bars_signals_commits_and_drift_are_those_of_what_was_published(
    measured: tuple[RunningService, int],
) -> None:
    samples = await scraped_when(measured[1], lambda found: has(found, "call_seconds_count", method="PublishBar"))
    assert value(samples, "bars_total", disposition="WARMING_UP") == 49
    assert value(samples, "bars_total", disposition="ACCEPTED") == len(BARS) - 49
    assert value(samples, "bars_total", disposition="DUPLICATE") == 1
    assert sum(one for _, one in samples["tradingsignals_signals_total"]) == len(BARS) - 49
    assert value(samples, "commit_entries_total") <= value(samples, "log_newest_sequence")
    assert value(samples, "bar_to_commit_seconds_count") >= len(BARS) / 64
    close = value(samples, "symbol_bar_close_timestamp_seconds", symbol="USDCOP")
    assert close == BARS[-1].close_time.timestamp()
    assert len(samples["tradingsignals_feature_drift_psi"]) == len(samples["tradingsignals_feature_drift_limit"]) == 16
    assert value(samples, "call_seconds_count", method="PublishBar") == 1
    assert value(samples, "database_up") in {0, 1}, "0 if a probe takes two seconds"
    assert value(samples, "model_info") == 1


async def test_open_streams_and_refused_calls_are_counted(measured: tuple[RunningService, int]) -> None:
    service, port = measured
    as_events = {"accept": "text/event-stream"}
    async with service.rest() as rest, rest.stream("GET", "/api/events", headers=as_events) as stream:
        assert stream.status_code == 200
        assert (await rest.get("/api/signals/history", params={"limit": "0"})).status_code == 400
        samples = await scraped_when(
            port, lambda found: has(found, "calls_total", method="ListSignals", code="INVALID_ARGUMENT")
        )
    assert value(samples, "followers", stream="StreamEvents", transport="sse") == 1
    assert value(samples, "follower_lag_entries", stream="StreamEvents", transport="sse") == 0
    assert value(samples, "call_errors_total", reason="INVALID_FIELD") >= 1
    assert value(samples, "calls_total", method="ListSignals", code="INVALID_ARGUMENT") >= 1


async def test_every_metric_of_the_table_is_there_and_no_other(measured: tuple[RunningService, int]) -> None:
    service, port = measured
    ends = {MetricKind.HISTOGRAM: ("_count", "_sum", "_bucket")}
    named = {metric.name + end for metric in METRICS.values() for end in ends.get(metric.kind, ("",))}
    # None was refused, and the ports behind the edge have no TLS (see test_mutual_tls.py).
    absent = {"tradingsignals_bar_refusals_total", "tradingsignals_certificate_expiry_timestamp_seconds"}

    def names(samples: Samples) -> set[str]:
        return {name for name in samples if name.startswith("tradingsignals_")}

    async with service.client() as client, client.stream_events(resume_after=0) as stream:
        await within(anext(aiter(stream)))
        with pytest.raises(InvalidRequest):
            await client.latest_signal(symbol="?")
        # The ledger follows behind.
        samples = await scraped_when(port, lambda found: names(found) == named - absent)
    assert names(samples) == named - absent


async def test_servers_have_the_ports_from_metrics_port_on() -> None:
    port = free_row(2)
    with scratch_folder() as folder:
        async with service_in(folder, SERVERS="2", METRICS_PORT=str(port)) as service:
            await service.start()
            first, second = await scraped(port), await scraped(port + 1)
    keepers = [samples for samples in (first, second) if "tradingsignals_equity" in samples]
    assert len(keepers) <= 1, "only one server keeps the account"
    assert value(first, "build_info") == value(second, "build_info") == 1
