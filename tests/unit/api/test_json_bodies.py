"""JSON bodies: values are parsed, and each invalid field is refused with its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToDict

from tradingsignals.v1 import market_data_service_pb2, position_service_pb2, signal_service_pb2
from tradingsignals_server.api.contract import EDGE_SERVICES, SERVICES
from tradingsignals_server.api.methods import method_name
from tradingsignals_server.api.services.json_bodies import BODY, json_body_servicer, read_request
from tradingsignals_server.domain.errors import InvalidRequest
from tradingsignals_server.internal import json_body_service_pb2 as pb

OPENAPI = Path(__file__).resolve().parents[3] / "envoy" / "openapi.json"
BODIES = EDGE_SERVICES["JsonBodyService"]
PUBLIC = {method.name: method for service in SERVICES.values() for method in service.methods}


def sent(text: bytes, type_: Any = pb.BodyRequest, content_type: str = "application/json", **fields: Any) -> Any:
    return type_(body={"data": text, "content_type": content_type}, **fields)


def quote(text: bytes) -> Any:
    return read_request(sent(text), signal_service_pb2.GenerateSignalRequest)


def refused(text: bytes) -> dict[str, str]:
    """The violations of a quote."""
    with pytest.raises(InvalidRequest) as caught:
        quote(text)
    return {violation.field: violation.description for violation in caught.value.violations}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (b"", {}),
        (b" \n", {}),
        (b"{}", {}),
        (b'{"close_price": 1.5, "rsi": 20}', {"close_price": 1.5, "rsi": 20.0}),
        (b'{"closePrice": "1.5", "ema_20": 1e2, "ema50": 1}', {"close_price": 1.5, "ema_20": 100.0, "ema_50": 1.0}),
        (b'{"rsi": null, "symbol": "caf\xc3\xa9"}', {"symbol": "café"}),
        (b'{"rsi": "NaN", "macd": "-Infinity"}', {"rsi": "NaN", "macd": "-Infinity"}),
    ],
)
def test_names_and_values_are_parsed(text: bytes, fields: dict[str, Any]) -> None:
    assert MessageToDict(quote(text), preserving_proto_field_name=True) == fields


def test_names_of_enum_values_may_be_in_any_case() -> None:
    request = read_request(sent(b'{"action": "buy"}'), signal_service_pb2.ListSignalsRequest)
    assert MessageToDict(request) == {"action": "BUY"}


@pytest.mark.parametrize(
    ("text", "violations"),
    [
        (b'{"close_price": 4250, "rsj": 20}', {"rsj": "is no field of the request; did you mean rsi?"}),
        (b'{"a": 1, "b": {"c": 2}}', {"a": "is no field of the request", "b": "is no field of the request"}),
        (b'{"Rsi": 1}', {"Rsi": "is no field of the request; did you mean rsi?"}),
        (b'{"body": 1}', {"body": "is no field of the request"}),
        (b'{"a\\n\\u001b": 1}', {r"a\n\x1b": "is no field of the request"}),
        (b'{"' + b"x" * 30_000 + b'": 1}', {"x" * 60 + "...": "is no field of the request"}),
        (b'{"rsi": 1, "rsi": 2}', {"rsi": "stands there twice"}),
        (b'{"ema_20": 1, "ema20": 2}', {"ema_20": "stands there twice"}),
        (b'{"rsi": "high", "atr": true}', {"rsi": "must be a number", "atr": "must be a number"}),
        (b'{"rsi": "1_0"}', {"rsi": "must be a number"}),
        (b'{"rsi": [1]}', {"rsi": "must be a number in the range of its type"}),
        (b'{"rsi": 1e999}', {"rsi": "must be a number in the range of its type"}),
        (b'{"rsi": 1' + b"0" * 400 + b"}", {"rsi": "must be a number in the range of its type"}),
        (b'{"symbol": 7}', {"symbol": "must be a string"}),
        (b'{"symbol": "\\ud800"}', {"symbol": "must be a string"}),
        (b'{"rsi": NaN}', {"body": "is not JSON: NaN must stand in quotes"}),
        (b'{"rsi": 20', {"body": "is not JSON: Expecting ',' delimiter at line 1, column 11"}),
        (b"{} {}", {"body": "is not JSON: Extra data at line 1, column 4"}),
        (b"[1]", {"body": "must be a JSON object"}),
        (b"null", {"body": "must be a JSON object"}),
        (b'{"symbol": "\xff"}', {"body": "is not UTF-8"}),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, {"body": "has a number that is too long, or too many levels"}),
        (b'{"rsi": ' + b"1" * 5_000 + b"}", {"body": "has a number that is too long, or too many levels"}),
    ],
)
def test_invalid_body_is_refused_with_its_violations(text: bytes, violations: dict[str, str]) -> None:
    assert refused(text) == violations


def test_violations_have_the_path_of_their_field() -> None:
    for text, field in (
        (b'{"opne": 1}', "bar.opne"),
        (b'{"time": "today"}', "bar.time"),
        (b'{"time": {"seconds": 1}}', "bar.time"),
        (b'{"volume": false}', "bar.volume"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            read_request(sent(text), market_data_service_pb2.PublishBarRequest, field="bar")
        assert [violation.field for violation in caught.value.violations] == [field]
    nested = b'{"bars": [{}, {"opne": 1}, 3], "x": 1}'
    with pytest.raises(InvalidRequest) as caught:
        read_request(sent(nested), market_data_service_pb2.PublishBarsRequest)
    assert [violation.field for violation in caught.value.violations] == ["bars[1].opne", "bars[2]", "x"]


def test_empty_body_leaves_its_field_absent() -> None:
    for text, is_there in ((b"", False), (b"{}", True)):
        request: Any = read_request(sent(text), market_data_service_pb2.PublishBarRequest, field="bar")
        assert request.HasField("bar") is is_there


def test_field_in_body_and_path_is_refused() -> None:
    call = sent(b'{"price": 2}', pb.ClosePositionBodyRequest, position_id="p1")
    assert read_request(call, position_service_pb2.ClosePositionRequest).position_id == "p1"
    call = sent(b'{"positionId": "p2", "price": 2}', pb.ClosePositionBodyRequest, position_id="p1", price=1)
    with pytest.raises(InvalidRequest) as caught:
        read_request(call, position_service_pb2.ClosePositionRequest)
    assert {violation.field for violation in caught.value.violations} == {"position_id", "price"}


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/jsonx"])
def test_body_requires_the_json_content_type(content_type: str) -> None:
    with pytest.raises(InvalidRequest, match="application/json"):
        read_request(sent(b"{}", content_type=content_type), signal_service_pb2.GenerateSignalRequest)
    read_request(sent(b"", content_type=content_type), signal_service_pb2.GenerateSignalRequest)


# --------------------------------------------------------------------------------------------------------- the contract


def rule_of(method: MethodDescriptor) -> Any:
    return method.GetOptions().Extensions[annotations_pb2.http]


def test_every_public_call_with_a_body_has_a_method_on_its_path() -> None:
    calls = {name: rule_of(method) for name, method in PUBLIC.items() if not method.server_streaming}
    public = {(name, rule.post) for name, rule in calls.items() if rule.body}
    assert {(method.name, rule_of(method).post) for method in BODIES.methods} == public
    for method in BODIES.methods:
        assert rule_of(method).body == BODY
        assert method.output_type.full_name == "google.api.HttpBody"


def test_requests_have_fields_of_the_public_requests_and_the_body() -> None:
    for method in BODIES.methods:
        public = PUBLIC[method.name].input_type.fields_by_name
        for field in method.input_type.fields:
            if field.name != BODY:
                known = public[field.name]
                assert (field.number, field.type, field.has_presence) == (known.number, known.type, known.has_presence)
        assert method.input_type.fields_by_name[BODY].number not in {field.number for field in public.values()}


async def test_every_method_parses_the_public_request() -> None:
    read: list[Any] = []

    class Written:
        def __getattr__(self, name: str) -> Any:
            async def call(request: Any) -> None:
                read.append((name, request.DESCRIPTOR))

            return call

    for method in BODIES.methods:
        name = method_name(method)
        request = getattr(pb, method.input_type.name)(body={"data": b"{}", "content_type": "application/json"})
        await getattr(json_body_servicer(Written()), name)(request)
        assert read.pop() == (name, PUBLIC[method.name].input_type)


def test_parameters_of_the_document_are_those_that_the_edge_takes_beside_a_body() -> None:
    documented = {
        operation["operationId"]: {each["name"] for each in operation.get("parameters", []) if each["in"] != "header"}
        for paths in json.loads(OPENAPI.read_bytes())["paths"].values()
        for operation in paths.values()
    }
    for method in BODIES.methods:
        assert {field.name for field in method.input_type.fields} - {BODY} == documented[method.name], method.name
