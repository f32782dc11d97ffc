"""Every method of the contract is served, by a servicer that has it, in the shape that the contract gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from tradingsignals.v1 import system_service_pb2
from tradingsignals_server.api.services.events import EventServicer
from tradingsignals_server.api.services.market_data import MarketDataServicer
from tradingsignals_server.api.services.model import ModelServicer
from tradingsignals_server.api.services.positions import PositionServicer
from tradingsignals_server.api.services.signals import SignalServicer
from tradingsignals_server.api.services.system import SystemServicer
from tradingsignals_server.transport.grpc.registration import register
from tradingsignals_server.transport.grpc.server import SERVICES

SERVICERS: dict[str, type] = {
    "SystemService": SystemServicer,
    "SignalService": SignalServicer,
    "PositionService": PositionServicer,
    "MarketDataService": MarketDataServicer,
    "ModelService": ModelServicer,
    "EventService": EventServicer,
}
Details = grpc.HandlerCallDetails


class Registry:
    """Stands where the server does and keeps what is registered."""

    def __init__(self) -> None:
        self.handlers: list[grpc.GenericRpcHandler[Any, Any]] = []

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler[Any, Any], ...]) -> None:
        self.handlers.extend(handlers)

    def handler(self, method: MethodDescriptor) -> Any:
        path = f"/{method.containing_service.full_name}/{method.name}"
        found = [handler.service(_Call(path)) for handler in self.handlers]
        (handler,) = [one for one in found if one is not None]
        return handler


class _Call(Details):
    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


METADATA = (("x-epoch", "of-the-log"),)


class Context:
    """Keeps what a handler does to its call, in its order."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def send_initial_metadata(self, metadata: object) -> None:
        self.told.append(metadata)

    async def write(self, answer: Any) -> None:
        self.told.append(answer)


def registered(service: ServiceDescriptor, servicer: object) -> Registry:
    registry: Any = Registry()
    register(registry, service, servicer, METADATA)
    found: Registry = registry
    return found


def all_methods() -> Iterator[MethodDescriptor]:
    for service in SERVICES.values():
        yield from service.methods


def test_the_services_of_the_contract_are_served() -> None:
    assert set(SERVICES) == set(SERVICERS)
    assert {service.full_name for service in SERVICES.values()} == {f"tradingsignals.v1.{name}" for name in SERVICERS}


@pytest.mark.parametrize("method", list(all_methods()), ids=lambda method: method.full_name)
def test_every_method_has_the_shape_of_the_contract(method: MethodDescriptor) -> None:
    servicer = SERVICERS[method.containing_service.name]
    blank: object = object.__new__(servicer)  # its methods are looked up, not called
    handler = registered(method.containing_service, blank).handler(method)
    assert (handler.request_streaming, handler.response_streaming) == (
        method.client_streaming,
        method.server_streaming,
    )
    assert handler.request_deserializer(b"").DESCRIPTOR is method.input_type


def test_a_missing_method_fails_at_the_start() -> None:
    class Half:
        async def get_service_info(self, _: object) -> bytes:
            return b""

    with pytest.raises(AttributeError, match="get_health"):
        registered(SERVICES["SystemService"], Half())


async def test_answers_are_messages_or_bytes() -> None:
    answer = system_service_pb2.GetServiceInfoResponse(service="s")

    class Servicer:
        async def get_service_info(self, _: object) -> system_service_pb2.GetServiceInfoResponse:
            return answer

        async def get_health(self, _: object) -> bytes:
            return b"raw"

    registry = registered(SERVICES["SystemService"], Servicer())
    by_name = SERVICES["SystemService"].methods_by_name
    info, health = registry.handler(by_name["GetServiceInfo"]), registry.handler(by_name["GetHealth"])
    assert info.response_serializer(await info.unary_unary(None, None)) == answer.SerializeToString()
    assert health.response_serializer(await health.unary_unary(None, None)) == b"raw"


async def test_a_follower_is_told_that_it_follows_before_anything_comes() -> None:
    class Servicer:
        async def stream_events(self, request: Any) -> AsyncIterator[bytes]:
            if request.resume_after:
                raise ValueError("refused")

            async def answers() -> AsyncIterator[bytes]:
                yield b"one"
                yield b"two"

            return answers()

    method = SERVICES["EventService"].methods_by_name["StreamEvents"]
    handler = registered(SERVICES["EventService"], Servicer()).handler(method)
    context = Context()
    await handler.unary_stream(handler.request_deserializer(b""), context)
    assert context.told == [METADATA, b"one", b"two"]
    refused = Context()
    request = handler.request_deserializer(b"")
    request.resume_after = 1
    with pytest.raises(ValueError, match="refused"):
        await handler.unary_stream(request, refused)
    assert refused.told == [], "a refusal is still an error with a status of its own"
