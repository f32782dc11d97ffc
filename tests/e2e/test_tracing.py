"""Traces from the edge to the commit, as a collector gets them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.support.bars import messages
from tests.support.builders import walk
from tests.support.collector import running_collector
from tests.support.deadlines import DEADLINE, poll, within
from tests.support.service import running_service

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
QUOTE = {"symbol": "USDCOP", "close_price": 4000.0}


async def test_a_call_is_one_trace_from_the_edge_to_its_commit_and_a_follower_is_none(folder: Path) -> None:
    async with running_collector() as collector:
        endpoint = f"http://127.0.0.1:{collector.port}"
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_TRACES_SAMPLER_ARG": "1",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "LOG_LEVEL": "INFO",
        }
        async with (
            running_service(folder, **settings) as service,
            service.rest() as rest,
            rest.stream("GET", "/api/events", headers={"accept": "text/event-stream"}) as follower,
        ):
            assert follower.status_code == 200
            made = await rest.post("/api/signals/generate", json=QUOTE, headers={"traceparent": TRACEPARENT})
            assert made.status_code == 200, made.text
            async with service.client() as client:
                await client.publish_bar(messages(walk(1))[0])
            ours = await collector.until(lambda spans: len([one for one in spans if one.trace_id == TRACE]) >= 3)
            by_name = {one.name: one for one in ours if one.trace_id == TRACE}
            call = by_name["tradingsignals.edge.v1.JsonBodyService/GenerateSignal"]
            (edge,) = [one for one in ours if one.trace_id == TRACE and one.service == "tradingsignals-edge"]
            assert edge.parent_id == "b7ad6b7169203331"
            assert call.parent_id == edge.span_id, "the server continues the span of the edge"
            assert by_name["batch"].parent_id == call.span_id
            assert by_name["batch"].attributes["tradingsignals.decisions"] == "1"
            others = await collector.until(lambda spans: any("PublishBar" in one.name for one in spans))
            async with asyncio.timeout(DEADLINE):
                while "GenerateSignal OK" not in service.log:
                    await poll()
            log = service.log
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        traced = [line for line in lines if line.get("trace_id") == TRACE]
        assert "GenerateSignal OK" in [line["message"] for line in traced]
        assert {line["request_id"] for line in traced} == {made.headers["x-request-id"]}
        names = {one.name for one in others}
        assert not [name for name in names if "Stream" in name or "Health" in name], names
        assert not [one for one in collector.spans if one.attributes.get("http.url", "").endswith("/api/events")]


async def test_collector_that_is_away_neither_holds_up_calls_nor_the_end(folder: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER_ARG": "1"}
    async with running_service(folder, **settings) as service, service.rest() as rest:
        assert (await rest.post("/api/signals/generate", json=QUOTE)).status_code == 200
        assert await within(service.stop()) == 0
        assert "Traceback" not in service.log
        assert service.log.count("takes no traces") == 1
        assert "StatusCode.UNAVAILABLE" not in service.log
