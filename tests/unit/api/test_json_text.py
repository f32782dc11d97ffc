"""The JSON of a message is what protobuf itself would write with the edge's options."""

from __future__ import annotations

import json
import math
import operator
from typing import Any

import pytest
from google.api import httpbody_pb2
from google.protobuf import struct_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.rest_json import rest_json

from tradingsignals.v1 import bar_pb2, event_pb2, signal_pb2
from tradingsignals_server.api.contract import SERVICES
from tradingsignals_server.api.encoding.json_text import json_text

RESPONSES: list[type[Message]] = [
    GetMessageClass(method.output_type) for service in SERVICES.values() for method in service.methods
]
texts = st.text(max_size=20) | st.sampled_from(["\u2028", "\x85", "\x7f", '"\\/', "\r\n\t\x00", "mañana", "\U0001f600"])
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.floats() | st.integers(-(10**18), 10**18).map(float),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_STRING: texts,
    FieldDescriptor.TYPE_ENUM: st.integers(0, 4) | st.just(77),
}
times = st.builds(
    Timestamp,
    seconds=st.integers(-62_135_596_800, 253_402_300_799),
    nanos=st.integers(0, 999_999).map(lambda micros: micros * 1000)
    | st.sampled_from([0, 1000, 5_000_000, 120_000_000]),
)


def messages(type_: type[Message]) -> st.SearchStrategy[Message]:
    """Messages of a type with any of its fields."""
    if type_ is Timestamp:
        return times
    together = [oneof for oneof in type_.DESCRIPTOR.oneofs if len(oneof.fields) > 1]
    alone = [field for field in type_.DESCRIPTOR.fields if field.containing_oneof not in together]
    built = st.fixed_dictionaries({}, optional={field.name: values(field) for field in alone})
    for oneof in together:
        chosen = st.one_of([st.fixed_dictionaries({field.name: values(field)}) for field in oneof.fields])
        built = st.builds(operator.or_, built, st.just({}) | chosen)
    return built.map(lambda fields: type_(**fields))


def values(field: Any) -> st.SearchStrategy[Any]:
    message = field.message_type
    one = SCALARS[field.type] if message is None else messages(GetMessageClass(message))
    return st.lists(one, max_size=3) if field.is_repeated else one


@pytest.mark.parametrize("response", RESPONSES)
def test_json_of_any_response_equals_that_of_protobuf(response: type[Message]) -> None:
    @settings(max_examples=30)
    @given(messages(response))
    @example(response())
    def holds(message: Message) -> None:
        text = json_text(message)
        assert json.loads(text) == rest_json(message)
        assert len(text.splitlines()) == 1, "it is one line to every reader"

    holds()


def test_fields_have_the_order_and_names_of_the_contract() -> None:
    text = json_text(event_pb2.MarketUpdate(bar=bar_pb2.Bar(symbol="USDCOP", open=4000.0, low=0.1, close=-1e22)))
    assert text == (
        '{"bar":{"symbol":"USDCOP","open":4000,"high":0,"low":0.1,"close":-1e+22,"volume":0,"interval":""},'
        '"disposition":"DISPOSITION_UNSPECIFIED"}'
    )


def test_absent_and_zero_values_differ() -> None:
    absent, zero = signal_pb2.TechnicalFactors(), signal_pb2.TechnicalFactors(rsi=0.0, macd=-0.0)
    assert (json_text(absent), json_text(zero)) == ("{}", '{"rsi":0,"macd":-0}')


def test_nan_and_infinity_are_strings() -> None:
    factors = signal_pb2.TechnicalFactors(rsi=math.nan, macd=math.inf, atr=-math.inf)
    assert json_text(factors) == '{"rsi":"NaN","macd":"Infinity","atr":"-Infinity"}'


@pytest.mark.parametrize(
    ("nanos", "digits"), [(0, "000000"), (500_000_000, "500000"), (1000, "000001"), (999_999_000, "999999")]
)
def test_times_have_six_fractional_digits(nanos: int, digits: str) -> None:
    text = json_text(bar_pb2.Bar(time=Timestamp(seconds=1_700_000_000, nanos=nanos)))
    assert json.loads(text)["time"] == f"2023-11-14T22:13:20.{digits}Z"


@pytest.mark.parametrize("message", [struct_pb2.Struct(), httpbody_pb2.HttpBody()])
def test_unsupported_message_types_raise(message: Message) -> None:
    with pytest.raises(TypeError, match="cannot be written"):
        json_text(message)
