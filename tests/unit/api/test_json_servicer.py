"""JSON for REST callers: every call with one response, by the public method and on its paths."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.api import annotations_pb2, httpbody_pb2
from google.protobuf.descriptor import MethodDescriptor
from tests.support.rest_json import rest_json

from tradingsignals.v1 import (
    bar_pb2,
    market_data_service_pb2,
    model_pb2,
    model_service_pb2,
    signal_pb2,
    signal_service_pb2,
)
from tradingsignals_server.api.contract import JSON_SERVICE, SERVICES
from tradingsignals_server.api.encoding.listing import ITEMS_A_TURN
from tradingsignals_server.api.services.json_servicer import json_servicer


def binding(method: MethodDescriptor) -> tuple[str, bytes]:
    rule: Any = method.GetOptions().Extensions[annotations_pb2.http]
    return method.input_type.full_name, rule.SerializeToString()


def test_every_call_with_one_response_is_on_the_public_paths() -> None:
    public = {
        method.name: binding(method)
        for service in SERVICES.values()
        for method in service.methods
        if not method.server_streaming and not method.client_streaming
    }
    assert {method.name: binding(method) for method in JSON_SERVICE.methods} == public


class Public:
    """Responds as servicers do: with a message, or with a serialised one."""

    async def get_model_info(self, _: Any) -> Any:
        return model_service_pb2.GetModelInfoResponse(model=model_pb2.Model(version="1"))

    async def list_bars(self, request: Any) -> Any:
        bars = [bar_pb2.Bar(symbol="EURUSD", open=n + 1.5) for n in range(request.limit)]
        return market_data_service_pb2.ListBarsResponse(bars=bars, count=request.limit, next_page_token="[]")  # noqa: S106

    async def get_latest_signal(self, request: Any) -> Any:
        found = signal_pb2.Signal(symbol=request.symbol)
        return signal_service_pb2.GetLatestSignalResponse(signal=found).SerializeToString()

    def __getattr__(self, name: str) -> Any:
        async def absent(_: Any) -> Any:
            raise AssertionError(f"{name} is not called by these tests")

        return absent


async def test_json_equals_the_public_response() -> None:
    servicer: Any = json_servicer(dict.fromkeys(SERVICES, Public()))
    info = httpbody_pb2.HttpBody.FromString(await servicer.get_model_info(None))
    assert (info.content_type, json.loads(info.data)["model"]["version"]) == ("application/json", "1")
    request = signal_service_pb2.GetLatestSignalRequest(symbol="EURUSD")
    latest = httpbody_pb2.HttpBody.FromString(await servicer.get_latest_signal(request))
    assert json.loads(latest.data)["signal"]["symbol"] == "EURUSD"


@pytest.mark.parametrize("count", [0, 1, ITEMS_A_TURN, 2 * ITEMS_A_TURN + 1])
async def test_json_of_a_list_equals_the_public_response(count: int) -> None:
    servicer: Any = json_servicer(dict.fromkeys(SERVICES, Public()))
    request = market_data_service_pb2.ListBarsRequest(limit=count)
    body = httpbody_pb2.HttpBody.FromString(await servicer.list_bars(request))
    assert json.loads(body.data) == rest_json(await Public().list_bars(request))
