"""The methods that this path serves, and what each makes of its request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from tradingsignals.v1 import event_service_pb2, position_service_pb2, signal_service_pb2

from ..application.event_log.tail import Broadcast
from ..transport.fanout.fanout import Follow
from ..transport.grpc.registration import Behaviour, behaviour_of, serialised
from ..transport.grpc.server import EDGE_SERVICES, SERVICES
from .encoding.responses import EVENTS, NOUNS, AnswerForm
from .mapping.validation import subscription
from .streams import answer_stream
from .text_services import TEXT_SERVICES, Asked

Served = bytes | Follow | AsyncGenerator[bytes]
"""What a method leads to: its one answer, a place in the log that the fan-out serves, or answers one by one."""
Method = Callable[[Any], Coroutine[Any, Any, Served]]

HEALTH_CHECK = "/grpc.health.v1.Health/Check"
"""Asked by the edge."""


class Methods:
    """What is served: the type of the request and the method, by path."""

    def __init__(self, broadcast: Broadcast, servicers: Mapping[str, object]) -> None:
        self._broadcast = broadcast
        self.is_serving = True
        self.at: Mapping[str, tuple[type[Message], Method]] = {
            **_single_calls(servicers),
            _path("SignalService", "StreamSignals"): (
                signal_service_pb2.StreamSignalsRequest,
                self._following(NOUNS),
            ),
            _path("PositionService", "StreamPositions"): (
                position_service_pb2.StreamPositionsRequest,
                self._following(NOUNS),
            ),
            _path("EventService", "StreamEvents"): (event_service_pb2.StreamEventsRequest, self._following(EVENTS)),
            **{
                stream.path: (stream.request, self._following(stream.form, service.subscription))
                for service in TEXT_SERVICES.values()
                for stream in service.streams
            },
            HEALTH_CHECK: (health_pb2.HealthCheckRequest, self._check),
        }

    def _following(self, form: AnswerForm, asked: Asked = subscription) -> Method:
        async def follow(request: Any) -> Served:
            wanted, resume_after, heartbeat_seconds, replay = asked(request)
            if replay is not None:  # it has a pace of its own, so nobody shares it
                return answer_stream(
                    form, await self._broadcast.follow(wanted, resume_after, heartbeat_seconds, replay)
                )
            return Follow(form, wanted, await self._broadcast.place(resume_after), heartbeat_seconds)

        return follow

    async def _check(self, _: health_pb2.HealthCheckRequest) -> Served:
        statuses = health_pb2.HealthCheckResponse
        status = statuses.SERVING if self.is_serving else statuses.NOT_SERVING
        return serialised(health_pb2.HealthCheckResponse(status=status))


def _single_calls(servicers: Mapping[str, object]) -> dict[str, tuple[type[Message], Method]]:
    """Every method that takes one message and answers with one."""
    return {
        f"/{service.full_name}/{method.name}": (
            GetMessageClass(method.input_type),
            _answering(behaviour_of(servicers[name], method)),
        )
        for name, service in (SERVICES | EDGE_SERVICES).items()
        for method in service.methods
        if name in servicers and not method.client_streaming and not method.server_streaming
    }


def _answering(behaviour: Behaviour) -> Method:
    async def answer(request: Any) -> bytes:
        return serialised(await behaviour(request))

    return answer


def _path(service: str, method: str) -> str:
    return f"/tradingsignals.v1.{service}/{method}"
